#include "links.h"

#include <bpf/libbpf.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "record_pair.h"

namespace longsplice::packet {

namespace {

// What became of a link that is over.
Splicer::End end_of(const ls_record& client, const ls_record& backend) {
  if ((backend.ends & LS_RESET) != 0)
    return (backend.flags & LS_JUDGED) != 0   ? Splicer::End::closed
           : (backend.flags & LS_BUDGET) != 0 ? Splicer::End::refused
                                              : Splicer::End::reset;
  if ((client.ends & LS_RESET) != 0) return Splicer::End::reset;
  if ((backend.flags & LS_JUDGED) != 0) return Splicer::End::closed;
  return (client.ends & backend.ends & LS_FIN) != 0 ? Splicer::End::finished : Splicer::End::late;
}

// What the programs note of one link.
// `held`: bytes that user space has from its remote end, and the stack has not.
void begin(ls_record& record, uint32_t peer, uint32_t first, std::optional<uint32_t> budget,
           uint32_t held = 0) {
  // The timestamps of the other end are another clock's now.
  if (record.peer != peer) record.ts_ready = 0;
  record.peer = peer;
  record.seq_next = real_rcv(record);
  record.link_rcv = record.seq_next - held;
  raise(record.given, record.link_rcv);
  record.local_acked = load(record.ack_seen) - record.adv_out;
  record.flags = static_cast<uint8_t>((record.flags & ~(LS_BUDGET | LS_JUDGED | LS_UNSEEN | LS_DIRECT)) |
                                      (budget ? LS_BUDGET : 0) | (held != 0 ? LS_DIRECT : 0));
  record.budget_end = first + budget.value_or(0);
  // Nobody waits for the arrival of nothing.
  record.ends = budget == 0u ? LS_SPENT : 0;
  record.packets = 0;
  record.bytes = 0;
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
      sockets_(kernel_, worker),
      ring_(std::make_unique<Ring>()) {
  const auto on_sample = [](void* self, void* data, size_t) {
    const auto& event = *static_cast<const ls_event*>(data);
    if (event.kind == LS_EVENT_PASSED) {
      static_cast<Links*>(self)->on_passed(*static_cast<const ls_passed*>(data));
    } else {
      static_cast<Links*>(self)->on_event(event);
    }
    return 0;
  };
  const uint32_t share = kernel_->judge_count() / kernel_->workers();
  judge_of_ended_ = worker * share;
  next_judge_ = judge_of_ended_ + 1;
  end_of_judges_ = judge_of_ended_ + share;
  // Nothing it says lets a request pass, also not to who began with another one.
  ls_judge& ended = kernel_->judges()[judge_of_ended_];
  ended = {};
  ended.host_class = ended.pool = LS_RETURNS;
  ended.early = 1;
  ring_->buffer = ring_buffer__new(fd(), on_sample, this, nullptr);
}

Links::~Links() = default;

uint32_t Links::upstream_mss(int client) {
  const uint32_t size = segment_size(client);
  return size < TCP_MAXWIN / 2 ? size : 0;
}

uint32_t Links::path_mss(const SocketAddress& backend) {
  const uint32_t mtu = routes_->mtu_to(backend);
  const uint32_t headers = headers_of(backend);
  return mtu > headers ? mtu - headers : 0;
}

// Finds out what there is to know of a socket; or the word for why it cannot be part of a link.
const char* Links::examine(Candidate& candidate) {
  if (const Parked* parked = sockets_.find(candidate.socket.fd)) {
    candidate.known = true;
    candidate.parked = *parked;
    candidate.unread = candidate.socket.unread;
    candidate.out_of_order = candidate.socket.received + candidate.unread < parked->in_order_from;
    return routes_->objection(parked->fit.interface);
  }
  SocketFacts& facts = candidate.facts;
  if (!read_facts(candidate.socket.fd, {candidate.accepted, candidate.socket.sent != 0}, facts))
    return facts.local.family() == AF_UNIX ? "unix_socket" : "socket";
  if (!facts.established) return "half_closed";
  candidate.parked.fit = fit_of(facts, routes_->interface_to(facts.local, facts.remote));
  candidate.unread = facts.unread;
  candidate.parked.first_rcv = facts.rcv - facts.unread - static_cast<uint32_t>(candidate.socket.received);
  candidate.parked.first_snd = facts.snd - static_cast<uint32_t>(candidate.socket.sent);
  if (candidate.parked.fit.interface == 0) return "interface";
  return routes_->objection(candidate.parked.fit.interface);
}

// What the stack of a known socket holds out of order, the programs have seen on its way there, and they will give it what
// is missing. Of what came before nobody knows what it is: later attempts can be sure, when a whole window has come.
bool Links::park(Candidate& candidate) {
  if (candidate.known) return true;
  const Socket& socket = candidate.socket;
  uint32_t window = 0;
  if (!sockets_.park(socket.fd, candidate.facts, candidate.parked)) return false;
  const uint64_t received = socket.received + candidate.unread;
  uint32_t unread = 0;
  if (received != 0 && read_unread(socket.fd, unread))
    raise(sockets_.record(candidate.parked.record).given, candidate.facts.rcv + unread - candidate.unread);
  candidate.out_of_order = received != 0 && received_out_of_order(socket.fd, window);
  if (candidate.out_of_order) sockets_.doubt(socket.fd, received + window);
  return true;
}

// Some went to its stack without those before them, or are on their way.
bool Links::waits_for_bytes(const Candidate& candidate) const {
  const ls_record& r = sockets_.record(candidate.parked.record);
  const uint32_t read = candidate.parked.first_rcv + static_cast<uint32_t>(candidate.socket.received);
  return after(load(r.given), read + candidate.unread + r.adv_in);
}

bool Links::has_room(int client, int backend, uint64_t from_client, uint64_t from_backend) const {
  Room at_client{}, at_backend{};
  if (!read_room(client, at_client) || !read_room(backend, at_backend)) return false;
  const auto fits = [](uint64_t to_come, const Room& source, const Room& sink) {
    return std::min<uint64_t>(to_come, source.announced) <= sink.free;
  };
  // An answer that waits to be read comes before all that.
  return at_backend.unread <= from_backend && fits(from_client, at_client, at_backend) &&
         fits(from_backend, at_backend, at_client);
}

uint32_t Links::unread(int fd) const {
  uint32_t bytes = 0;
  read_unread(fd, bytes);
  return bytes;
}

// What waits in the socket beyond the budget stays there: to the link it is as if it had been read.
Links::Half Links::half_of(const Candidate& candidate, std::optional<uint32_t> budget) const {
  const ls_record& r = sockets_.record(candidate.parked.record);
  const uint32_t first = candidate.parked.first_rcv + static_cast<uint32_t>(candidate.socket.received);
  const uint32_t unread = std::min(candidate.unread, budget.value_or(UINT32_MAX));
  const uint32_t kept = candidate.unread - unread;
  return {candidate.parked.record, candidate.socket.fd, unread, first + r.adv_in + kept, kept};
}

// What is read from the client from here on begins where the pending bytes end at the backend, and the other way round.
void Links::relate(const Candidate& client, const Candidate& backend, const Link& link, const Terms& terms) {
  ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  c.flags |= LS_CLIENT;
  c.local_rcv = link.client.begin + link.client.unread - c.adv_in;
  b.local_rcv = link.backend.begin + link.backend.unread - b.adv_in;
  c.local_snd = client.parked.first_snd + static_cast<uint32_t>(client.socket.sent);
  b.local_snd = backend.parked.first_snd + static_cast<uint32_t>(backend.socket.sent);
  begin(c, link.backend.record, link.client.begin, terms.client_budget, link.held);
  begin(b, link.client.record, link.backend.begin, terms.backend_budget);
  c.local_snd += static_cast<uint32_t>(terms.to_client);
  // What its stack does not know of, its numbers skip.
  (link.direct != 0 ? b.adv_out : b.local_snd) += static_cast<uint32_t>(terms.to_backend);
  c.delta_seq = real_snd(b) - link.client.begin;
  b.delta_seq = real_snd(c) - link.backend.begin;
  c.delta_ack = -b.delta_seq;
  b.delta_ack = -c.delta_seq;
  if ((link.client.unread | link.backend.unread) != 0) c.flags |= LS_UNSEEN;
  if (terms.verdict) instruct(link, *terms.verdict);
  // One number for the link, that neither record has had.
  const uint32_t number = std::max(c.phase >> 2, b.phase >> 2) + 1;
  store(b.phase, number << 2 | LS_LINKED);
  store(c.phase, number << 2 | LS_LINKED);
}

const char* Links::join(const Socket& client, const Socket& backend, const Terms& terms, Owner& owner,
                        LinkId& id) {
  Candidate c{.socket = client, .accepted = true};
  Candidate b{.socket = backend, .accepted = false};
  if (const char* reason = examine(c)) return reason;
  if (const char* reason = examine(b)) return reason;
  if (!c.known && redirected(client.fd, c.facts.local)) return "nat";
  if (!b.known && routes_->leads_to_engine(b.parked.fit.interface, b.facts.remote)) return "chained";
  // Nobody would judge it.
  if (terms.verdict && (c.unread != 0 || b.unread != 0)) return "early_data";
  // What a backend says before it was asked answers nothing that passed.
  if (!b.known && backend.sent == 0 && b.unread != 0) return "early_data";
  if (const char* reason = misfit(c.parked.fit, b.parked.fit)) return reason;
  if (!park(c) || !park(b)) return "records";
  if (c.out_of_order || b.out_of_order) return "out_of_order";
  if (terms.verdict && (waits_for_bytes(c) || waits_for_bytes(b))) return "out_of_order";
  // The backend would send nothing until its persist timer runs (RFC 9293, 3.8.6.1), for each piece of a response: a sender
  // that has seen larger windows sends no parts of segments.
  const bool narrow = sockets_.record(c.parked.record).window < b.parked.fit.advertised_mss;
  if (terms.verdict && narrow) return "window";
  id = c.parked.record;
  const size_t index = id - sockets_.first_record();
  if (index >= links_.size()) links_.resize(index + 1);
  Link& link = links_[index];
  link = {.owner = &owner,
          .client = half_of(c, terms.client_budget),
          .backend = half_of(b, terms.backend_budget),
          .active_ms = now_ms_,
          .judge = {}};
  if (terms.verdict && !take_judge(link)) {
    link.owner = nullptr;
    return "verdicts";
  }
  if (passes_stacks(c, b, terms)) {
    link.held = terms.verdict->length;
    link.direct = static_cast<uint32_t>(terms.to_backend);
  }
  relate(c, b, link, terms);
  link.uploaded = record(link.client).seq_next;
  if (terms.verdict) narrow_window(link);
  active_++;
  const bool tunnel = !terms.verdict && !terms.client_budget && !terms.backend_budget;
  // The stack has a FIN that came while the numbers were read, and nobody would tell the other end.
  const bool open = !tunnel || (is_open(link.client.fd) && is_open(link.backend.fd));
  return !open && undo(id) ? "half_closed" : nullptr;
}

// Before the bytes are sent: an acknowledgement of them must not find the old number.
void Links::relay(Link& link, Half& from, const Half& to, uint32_t bytes) {
  const uint32_t known = std::min(bytes, from.unread);
  from.unread -= known;
  ls_record& source = record(from);
  store(record(to).local_snd, record(to).local_snd + bytes);
  if ((link.client.unread | link.backend.unread) == 0)
    __atomic_fetch_and(&record(link.client).flags, static_cast<uint8_t>(~LS_UNSEEN), __ATOMIC_SEQ_CST);
  if (bytes == known) return;
  store(source.local_rcv, source.local_rcv + bytes - known);
  raise(source.seq_next, real_rcv(source));
  raise(source.given, real_rcv(source));
  // A copy for this stack that named the number before was thrown away by it: it has to hear that again.
  store(source.local_acked, source.local_snd - 1);
}

void Links::relay_to_backend(LinkId id, uint32_t bytes) {
  relay(at(id), at(id).client, at(id).backend, bytes);
}

void Links::relay_to_client(LinkId id, uint32_t bytes) {
  relay(at(id), at(id).backend, at(id).client, bytes);
}

// A packet that was dropped in the moment of returning may have left its number in `seq_next`.
uint32_t Links::reached(LinkId id, const ls_record& r) const {
  return resumed(id) ? r.local_rcv + r.adv_in : load(r.seq_next);
}

Splicer::Totals Links::totals(LinkId id) const {
  const ls_record& client = record(at(id).client);
  const ls_record& backend = record(at(id).backend);
  return {
      .to_client = backend.bytes,
      .to_backend = client.bytes,
      .from_backend = reached(id, backend) - at(id).backend.begin,
      .from_client = reached(id, client) - at(id).client.begin,
  };
}

bool Links::resumed(LinkId id) const { return state_of(load(record(at(id).client).phase)) == LS_LOCAL; }

bool Links::quiet(LinkId id) const {
  return both_acknowledged(record(at(id).client), record(at(id).backend));
}

void Links::leave_link(Link& link) {
  link.owner = nullptr;
  if (link.judge) free_judges_.push_back(*link.judge);
  active_--;
}

void Links::handle_events() { ring_buffer__consume(ring_->buffer); }

void Links::attend() {
  store(kernel_->state_of(worker_).asleep, 0);
  handle_events();
}

// The store is a full barrier: either the programs see it, or the ring has what they wrote before.
bool Links::rest() {
  uint32_t& asleep = kernel_->state_of(worker_).asleep;
  store(asleep, 1);
  if (ring_buffer__consume(ring_->buffer) == 0) return true;
  store(asleep, 0);
  return false;
}

void Links::on_event(const ls_event& event) {
  const ls_record& told = sockets_.record(event.record);
  const uint32_t client = (told.flags & LS_CLIENT) != 0 ? event.record : told.peer;
  const size_t index = client - sockets_.first_record();
  // The owner may have given it back already.
  if (index >= links_.size() || links_[index].owner == nullptr) return;
  const Link& link = links_[index];
  // Said of an earlier link of the same sockets, it is no news.
  if (event.kind == LS_EVENT_SPENT) {
    if (spent(told)) link.owner->budget_spent();
  } else if (event.kind == LS_EVENT_HANDED) {
    if (!handed(client).empty()) link.owner->request_handed();
  } else if (event.kind == LS_EVENT_AGAIN) {
    if (link.judge && judge(link).direct != 0) link.owner->request_lost();
  } else if ((load(told.ends) & LS_OVER) != 0) {
    link.owner->link_ended(end_of(record(link.client), record(link.backend)));
  }
}

void Links::sweep(uint64_t now_ms, const Patience& patience) {
  now_ms_ = now_ms;
  handle_events();
  sockets_.sweep(now_ms);
  for (size_t i = 0; i < links_.size(); i++) {
    if (links_[i].owner != nullptr) sweep(links_[i], patience_with(links_[i], patience));
  }
}

// A client that trickles a body must not keep a backend busy for ever: so many bytes a second buy it more time, as where
// bodies are copied.
bool Links::progressed(const Link& link, uint32_t numbers, uint64_t idle_ms) const {
  constexpr uint64_t kLeastBytesPerSecond = 100;
  const ls_record& c = record(link.client);
  const bool uploads = (c.flags & LS_BUDGET) != 0 && after(load(c.budget_end), load(c.seq_next));
  if (!uploads) return numbers != link.numbers;
  return uint64_t{load(c.seq_next) - link.uploaded} * 1000 >= kLeastBytesPerSecond * idle_ms;
}

void Links::sweep(Link& link, uint64_t idle_ms) {
  const ls_record& c = record(link.client);
  const ls_record& b = record(link.backend);
  const uint32_t numbers = load(c.seq_next) + load(c.ack_seen) + load(b.seq_next) + load(b.ack_seen);
  if (!std::exchange(link.swept, true) || progressed(link, numbers, idle_ms)) {
    link.numbers = numbers;
    link.uploaded = c.seq_next;
    link.active_ms = now_ms_;
  }
  // What follows is for ends whose event was lost.
  if ((load(c.ends) & load(b.ends) & LS_OVER) != 0) {
    link.owner->link_ended(end_of(c, b));
  } else if (!handed(link.client.record).empty()) {
    link.owner->request_handed();
  } else if (link.judge) {
    if (now_ms_ - link.active_ms >= idle_ms) link.owner->link_ended(End::idle);
  } else if (now_ms_ - link.active_ms >= idle_ms) {
    link.owner->link_ended(End::idle);
  } else if ((spent(c) && c.budget_end != link.client.begin) ||
             (spent(b) && b.budget_end != link.backend.begin)) {
    link.owner->budget_spent();
  }
}

}  // namespace longsplice::packet
