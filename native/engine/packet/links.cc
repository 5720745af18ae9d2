#include "links.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <utility>

namespace longsplice::packet {

namespace {

// TCP's own time-wait period: until then a lost last acknowledgement is asked for again.
constexpr uint64_t kLingerMs = 60'000;
// linux/tcp.h of Debian 12 is older than the option (6.7): timestamps count microseconds.
constexpr uint8_t kOptionMicrosecondTimestamps = 64;
constexpr uint32_t kTimestampBytes = 12;

bool after(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) > 0; }

// The programs read these while they run.
uint32_t load(const uint32_t& number) { return __atomic_load_n(&number, __ATOMIC_SEQ_CST); }
void store(uint32_t& number, uint32_t value) { __atomic_store_n(&number, value, __ATOMIC_SEQ_CST); }

uint32_t stack_clock(const ls_record& record) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const uint64_t ns = static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  return record.ts_base + static_cast<uint32_t>((ns - record.ts_base_ns) / 1'000'000);
}

// Everything of a record that does not depend on the other end.
void describe(ls_record& record, const SocketFacts& facts, uint32_t interface, uint32_t worker) {
  record = {};
  record.key = key_of(facts.local, facts.remote);
  record.family = static_cast<uint8_t>(facts.remote.family());
  record.ifindex = interface;
  record.worker = worker;
  record.flags = (facts.options & TCPI_OPT_TIMESTAMPS) != 0 ? LS_TIMESTAMPS : 0;
  record.remote_wscale = facts.remote_wscale;
  record.local_wscale = facts.local_wscale;
  record.local_rcv = facts.rcv;
  record.local_snd = facts.snd;
  record.local_acked = facts.snd - facts.unacked;
  record.last_tsval = facts.ts_clock;
  // The kernel keeps the lowest bit of the clock for itself, so it may be ahead by one.
  record.ts_base = facts.ts_clock + 1;
  record.ts_base_ns = facts.ts_clock_ns;
  record.link_rcv = facts.rcv;
  record.seq_next = facts.rcv;
  record.ack_seen = facts.snd - facts.unacked;
  record.window = facts.snd_wnd;
}

// The numbers that the remote end would see if the socket spoke for itself again.
void settle(ls_record& record, const ls_record& peer) {
  record.adv_in = record.seq_next - record.local_rcv;
  record.adv_out = peer.seq_next + peer.delta_seq - record.local_snd;
  const uint32_t clock = stack_clock(record) + record.ts_advance;
  if (after(record.last_tsval, clock)) record.ts_advance += record.last_tsval - clock;
}

bool everything_acknowledged(const ls_record& from, const ls_record& by) {
  return load(by.ack_seen) == load(from.seq_next) + from.delta_seq;
}

}  // namespace

struct Links::Ring {
  ring_buffer* buffer = nullptr;
  ~Ring() { ring_buffer__free(buffer); }
};

Links::Links(std::shared_ptr<Kernel> kernel, std::unique_ptr<Routes> routes, uint32_t worker)
    : kernel_(std::move(kernel)),
      routes_(std::move(routes)),
      worker_(worker),
      ring_(std::make_unique<Ring>()) {
  const uint32_t share = kernel_->record_count() / kernel_->workers();
  first_record_ = worker * share;
  for (uint32_t i = share; i > 0; i--) free_records_.push_back(first_record_ + i - 1);
  const auto on_sample = [](void* self, void* data, size_t) {
    static_cast<Links*>(self)->on_event(*static_cast<const ls_event*>(data));
    return 0;
  };
  ring_->buffer = ring_buffer__new(fd(), on_sample, this, nullptr);
}

Links::~Links() {
  for (const Ended& ended : ended_) free_record(ended.record);
}

uint32_t Links::upstream_mss(int client) {
  const uint32_t size = segment_size(client);
  return size < TCP_MAXWIN / 2 ? size : 0;
}

uint32_t Links::path_mss(const SocketAddress& backend) {
  const uint32_t mtu = routes_->mtu_to(backend);
  const uint32_t headers = headers_of(backend);
  return mtu > headers ? mtu - headers : 0;
}

const char* Links::check(const SocketFacts& client, const SocketFacts& backend, uint32_t& client_if,
                         uint32_t& backend_if) const {
  if (is_v4(client.remote) != is_v4(backend.remote)) return "family";
  if (!client.established || !backend.established) return "half_closed";
  if (backend.unread != 0) return "early_data";
  const uint8_t differ = client.options ^ backend.options;
  if ((differ & TCPI_OPT_TIMESTAMPS) != 0) return "timestamps";
  if ((differ & TCPI_OPT_SACK) != 0) return "sack";
  if ((differ & TCPI_OPT_ECN) != 0) return "ecn";
  if (((client.options | backend.options) & kOptionMicrosecondTimestamps) != 0) return "timestamps";
  // The kernel has taken the room for timestamps off what was announced, but not off what is accepted.
  const uint32_t options = (client.options & TCPI_OPT_TIMESTAMPS) != 0 ? kTimestampBytes : 0;
  // A backend that was told of no larger segments than the client takes may take larger ones itself: what it said is
  // cut down to the same number, and only the path tells.
  const uint32_t backend_takes =
      backend.mss_clamp == client.segment ? backend.path_mss : std::min(backend.mss_clamp, backend.path_mss);
  if (client.advertised_mss + options > backend_takes) return "mss";
  if (backend.advertised_mss + options > std::min(client.mss_clamp, client.path_mss)) return "mss";
  client_if = routes_->interface_to(client.local, client.remote);
  backend_if = routes_->interface_to(backend.local, backend.remote);
  if (client_if == 0 || backend_if == 0) return "interface";
  if (const char* objection = routes_->objection(client_if)) return objection;
  return routes_->objection(backend_if);
}

bool Links::take_record(uint32_t& index) {
  // Rather an early end of somebody's time-wait than no link.
  if (free_records_.empty() && !ended_.empty()) {
    free_record(ended_.front().record);
    ended_.pop_front();
  }
  if (free_records_.empty()) return false;
  index = free_records_.back();
  free_records_.pop_back();
  return true;
}

// The address pair may belong to a later record by now.
void Links::free_record(uint32_t index) {
  const ls_key& key = record(index).key;
  uint32_t found = 0;
  if (bpf_map_lookup_elem(kernel_->sockets(), &key, &found) == 0 && found == index) {
    bpf_map_delete_elem(kernel_->sockets(), &key);
  }
  free_records_.push_back(index);
}

bool Links::publish(uint32_t index) {
  return bpf_map_update_elem(kernel_->sockets(), &record(index).key, &index, BPF_ANY) == 0;
}

const char* Links::join(int client, int backend, uint64_t pending, Owner& owner, LinkId& id) {
  if (!has_packets(client) || !has_packets(backend)) return "unix_socket";
  if (redirected(client)) return "nat";
  SocketFacts client_facts{}, backend_facts{};
  if (!read_facts(client, client_facts) || !read_facts(backend, backend_facts)) return "socket";
  uint32_t client_if = 0, backend_if = 0;
  if (const char* reason = check(client_facts, backend_facts, client_if, backend_if)) return reason;
  uint32_t client_record = 0, backend_record = 0;
  if (!take_record(client_record)) return "records";
  if (!take_record(backend_record)) {
    free_records_.push_back(client_record);
    return "records";
  }
  ls_record& c = record(client_record);
  ls_record& b = record(backend_record);
  describe(c, client_facts, client_if, worker_);
  describe(b, backend_facts, backend_if, worker_);
  c.flags |= LS_CLIENT;
  c.peer = backend_record;
  b.peer = client_record;
  // What is read from the client from here on begins where the pending bytes end at the backend; what is written by
  // the backend begins where everything that was written to the client ends.
  const uint32_t taken = client_facts.rcv - client_facts.unread;
  c.delta_seq = backend_facts.snd + static_cast<uint32_t>(pending) - taken;
  b.delta_seq = client_facts.snd - backend_facts.rcv;
  c.delta_ack = -b.delta_seq;
  b.delta_ack = -c.delta_seq;
  b.local_snd += static_cast<uint32_t>(pending);
  store(c.state, LS_LINKED);
  store(b.state, LS_LINKED);
  if (!publish(backend_record) || !publish(client_record)) {
    free_record(client_record);
    free_record(backend_record);
    return "records";
  }
  // Should the process die, there is nobody left who translates: better a RST at the next packet than two ends that
  // wait for each other.
  reset_on_close(client, true);
  reset_on_close(backend, true);
  id = client_record;
  const size_t at = client_record - first_record_;
  if (at >= links_.size()) links_.resize(at + 1);
  // The first sweep finds it active, whatever it carried until then.
  links_[at] = {&owner,  client_record,       backend_record, client,
                backend, client_facts.unread, UINT64_MAX,     now_ms_};
  active_++;
  return nullptr;
}

// Before the bytes are sent: an acknowledgement of them must not find the old number.
void Links::relay(ls_record& from, ls_record& to, uint32_t sent, uint32_t received) {
  store(to.local_snd, to.local_snd + sent);
  store(from.local_rcv, from.local_rcv + received);
  const uint32_t end = from.local_rcv + from.adv_in;
  uint32_t seen = load(from.seq_next);
  while (after(end, seen) && !__atomic_compare_exchange_n(&from.seq_next, &seen, end, false, __ATOMIC_SEQ_CST,
                                                          __ATOMIC_SEQ_CST)) {
  }
}

void Links::relay_to_backend(LinkId id, uint64_t bytes) {
  Link& link = links_[id - first_record_];
  const auto count = static_cast<uint32_t>(bytes);
  const uint32_t known = std::min(count, link.client_unread);
  link.client_unread -= known;
  relay(record(link.client), record(link.backend), count, count - known);
}

void Links::relay_to_client(LinkId id, uint64_t bytes) {
  const Link& link = links_[id - first_record_];
  const auto count = static_cast<uint32_t>(bytes);
  relay(record(link.backend), record(link.client), count, count);
}

Splicer::Totals Links::totals(LinkId id) const {
  const Link& link = links_[id - first_record_];
  const ls_record& backend = record(link.backend);
  return {backend.bytes, record(link.client).bytes, backend.status_ns, backend.status};
}

bool Links::quiet(LinkId id) const {
  const Link& link = links_[id - first_record_];
  const ls_record& c = record(link.client);
  const ls_record& b = record(link.backend);
  return everything_acknowledged(c, b) && everything_acknowledged(b, c);
}

void Links::leave_link(Link& link) {
  ended_.push_back({link.client, now_ms_});
  ended_.push_back({link.backend, now_ms_});
  link.owner = nullptr;
  active_--;
}

void Links::release(LinkId id) {
  Link& link = links_[id - first_record_];
  if (((load(record(link.client).ends) | load(record(link.backend).ends)) & LS_HELD) != 0) {
    // Closing the sockets sends RST, with a number that makes the end ask for the right one if it is not that.
    return_to_stacks(link);
  } else {
    close_silently_later(link.client_fd);
    close_silently_later(link.backend_fd);
  }
  leave_link(link);
}

void Links::resume(LinkId id) {
  Link& link = links_[id - first_record_];
  return_to_stacks(link);
  reset_on_close(link.client_fd, false);
  reset_on_close(link.backend_fd, false);
  leave_link(link);
}

void Links::return_to_stacks(const Link& link) {
  ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  store(c.state, LS_RESUMING);
  store(b.state, LS_RESUMING);
  settle(c, b);
  settle(b, c);
  // New connections between these addresses are not this link's any more.
  __atomic_fetch_or(&c.ends, LS_OVER, __ATOMIC_SEQ_CST);
  __atomic_fetch_or(&b.ends, LS_OVER, __ATOMIC_SEQ_CST);
  store(c.state, LS_LOCAL);
  store(b.state, LS_LOCAL);
}

// The kernel wakes only a consumer that has caught up. libbpf publishes how far it came and then looks for more, with no
// full barrier in between: the kernel may see the old position while libbpf sees no more, and with an edge-triggered
// poller the ring would stay unread for good.
void Links::handle_events() {
  while (ring_buffer__consume(ring_->buffer) > 0) __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void Links::on_event(const ls_event& event) {
  const ls_record& told = record(event.record);
  const uint32_t client = (told.flags & LS_CLIENT) != 0 ? event.record : told.peer;
  const size_t at = client - first_record_;
  // The owner may have given it back already.
  if (at >= links_.size() || links_[at].owner == nullptr) return;
  links_[at].owner->link_ended(event.kind == LS_EVENT_RESET ? End::reset : End::finished);
}

void Links::sweep(uint64_t now_ms, uint64_t idle_ms) {
  now_ms_ = now_ms;
  while (!ended_.empty() && now_ms - ended_.front().since_ms >= kLingerMs) {
    free_record(ended_.front().record);
    ended_.pop_front();
  }
  for (size_t i = 0; i < links_.size(); i++) {
    Link& link = links_[i];
    if (link.owner == nullptr) continue;
    const ls_record& c = record(link.client);
    const ls_record& b = record(link.backend);
    const uint64_t packets = c.packets + b.packets;
    if (packets != link.packets) {
      link.packets = packets;
      link.active_ms = now_ms;
    }
    if ((load(c.ends) & load(b.ends) & LS_OVER) != 0) {
      // Its event was lost.
      link.owner->link_ended((c.ends & LS_RESET) != 0 || (b.ends & LS_RESET) != 0 ? End::reset
                                                                                  : End::finished);
    } else if (now_ms - link.active_ms >= idle_ms) {
      link.owner->link_ended(End::idle);
    }
  }
}

}  // namespace longsplice::packet
