#include "parked_sockets.h"

#include <bpf/bpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <utility>

#include "numbers.h"

namespace longsplice::packet {

namespace {

// TCP's own time-wait period: until then a lost last acknowledgement is asked for again.
constexpr uint64_t kLingerMs = 60'000;
// linux/tcp.h of Debian 12 is older than the option (6.7): timestamps count microseconds.
constexpr uint8_t kOptionMicrosecondTimestamps = 64;

// Everything of a record that does not depend on a link.
void describe(ls_record& record, const SocketFacts& facts, const Fit& fit, uint32_t worker) {
  const uint32_t phase = record.phase & ~uint32_t{LS_STATE};
  record = {};
  record.phase = phase | LS_LOCAL;
  record.key = key_of(facts.local, facts.remote);
  record.family = static_cast<uint8_t>(facts.remote.family());
  record.ifindex = fit.interface;
  record.worker = worker;
  record.flags = (facts.options & TCPI_OPT_TIMESTAMPS) != 0 ? LS_TIMESTAMPS : 0;
  record.remote_wscale = facts.remote_wscale;
  record.local_wscale = facts.local_wscale;
  record.given = facts.rcv;
  record.told = record.edge = facts.rcv + facts.window;
  record.local_snd = facts.snd;
  record.ack_seen = facts.snd - facts.unacked;
  record.local_sent = facts.snd - facts.unsent;
  record.last_tsval = facts.ts_clock;
  // The kernel keeps the lowest bit of the clock for itself, so it may be ahead by one.
  record.ts_base = facts.ts_clock + 1;
  record.ts_base_ns = facts.ts_clock_ns;
  record.window = facts.snd_wnd;
}

}  // namespace

Fit fit_of(const SocketFacts& facts, uint32_t interface) {
  return {
      .interface = interface,
      .advertised_mss = facts.advertised_mss,
      .mss_clamp = facts.mss_clamp,
      .path_mss = facts.path_mss,
      .segment = facts.segment,
      .options = facts.options,
      .v4 = is_v4(facts.remote),
  };
}

const char* misfit(const Fit& client, const Fit& backend) {
  if (client.v4 != backend.v4) return "family";
  const uint8_t differ = client.options ^ backend.options;
  if ((differ & TCPI_OPT_TIMESTAMPS) != 0) return "timestamps";
  if ((differ & TCPI_OPT_SACK) != 0) return "sack";
  if ((differ & TCPI_OPT_ECN) != 0) return "ecn";
  if (((client.options | backend.options) & kOptionMicrosecondTimestamps) != 0) return "timestamps";
  // The kernel has taken the room for timestamps off what was announced, but not off what is accepted.
  const uint32_t room = (client.options & TCPI_OPT_TIMESTAMPS) != 0 ? kTimestampBytes : 0;
  // A backend that was told of no larger segments than the client takes may take larger ones itself: what it said is
  // cut down to the same number, and only the path tells.
  const uint32_t backend_takes =
      backend.mss_clamp == client.segment ? backend.path_mss : std::min(backend.mss_clamp, backend.path_mss);
  if (client.advertised_mss + room > backend_takes) return "mss";
  if (backend.advertised_mss + room > std::min(client.mss_clamp, client.path_mss)) return "mss";
  return nullptr;
}

ParkedSockets::ParkedSockets(std::shared_ptr<Kernel> kernel, uint32_t worker)
    : kernel_(std::move(kernel)), worker_(worker) {
  const uint32_t share = kernel_->record_count() / kernel_->workers();
  first_record_ = worker * share;
  for (const uint32_t index : named_in_share(share)) release(index);
  for (uint32_t i = share; i > 0; i--) free_.push_back(first_record_ + i - 1);
}

// A worker leaves the records of its sockets behind, because the kernel may still speak for them. So does one that crashed,
// whose share this one gets.
std::vector<uint32_t> ParkedSockets::named_in_share(uint32_t share) const {
  std::vector<uint32_t> named;
  ls_key last{}, key{};
  for (const ls_key* after = nullptr; bpf_map_get_next_key(kernel_->sockets(), after, &key) == 0;
       after = &last) {
    uint32_t index = 0;
    if (bpf_map_lookup_elem(kernel_->sockets(), &key, &index) == 0 && index - first_record_ < share)
      named.push_back(index);
    last = key;
  }
  return named;
}

const Parked* ParkedSockets::find(int fd) const {
  const auto at = static_cast<size_t>(fd);
  if (at >= of_fd_.size() || of_fd_[at] == kNone) return nullptr;
  return &by_record_[of_fd_[at] - first_record_];
}

bool ParkedSockets::park(int fd, const SocketFacts& facts, Parked& parked) {
  // Rather an early end of somebody's time-wait than no link.
  if (free_.empty() && !closed_.empty()) {
    free_record(closed_.front().record);
    closed_.pop_front();
  }
  if (free_.empty()) return false;
  const uint32_t index = free_.back();
  describe(record(index), facts, parked.fit, worker_);
  if (bpf_map_update_elem(kernel_->sockets(), &record(index).key, &index, BPF_ANY) != 0) return false;
  // From here on the programs note what is sent and acknowledged; what was meanwhile, the socket knows.
  uint32_t unacked = 0, unsent = 0;
  if (facts.unacked != 0 && read_unacked(fd, unacked)) raise(record(index).ack_seen, facts.snd - unacked);
  if (facts.unsent != 0 && read_unsent(fd, unsent)) raise(record(index).local_sent, facts.snd - unsent);
  free_.pop_back();
  parked.record = index;
  const auto at = static_cast<size_t>(fd);
  if (at >= of_fd_.size()) of_fd_.resize(at + 1, kNone);
  of_fd_[at] = index;
  const size_t place = index - first_record_;
  if (place >= by_record_.size()) by_record_.resize(place + 1);
  by_record_[place] = parked;
  // Should the process die, there is nobody left who translates: better a RST at the next packet than two ends that
  // wait for each other.
  reset_on_close(fd, true);
  return true;
}

void ParkedSockets::doubt(int fd, uint64_t received) {
  by_record_[of_fd_[static_cast<size_t>(fd)] - first_record_].in_order_from = received;
}

void ParkedSockets::forget(int fd) {
  const Parked* parked = find(fd);
  if (parked == nullptr) return;
  // One that is linked to its end is closed in repair mode, which asks for nothing.
  if ((record(parked->record).phase & LS_STATE) != LS_LINKED) reset_on_close(fd, false);
  // New connections between these addresses are not this socket's any more.
  __atomic_fetch_or(&record(parked->record).ends, LS_OVER, __ATOMIC_SEQ_CST);
  closed_.push_back({parked->record, now_ms_});
  of_fd_[static_cast<size_t>(fd)] = kNone;
}

void ParkedSockets::sweep(uint64_t now_ms) {
  now_ms_ = now_ms;
  while (!closed_.empty() && now_ms - closed_.front().since_ms >= kLingerMs) {
    free_record(closed_.front().record);
    closed_.pop_front();
  }
}

// The addresses may belong to a later record by now.
void ParkedSockets::release(uint32_t index) {
  const ls_key& key = record(index).key;
  uint32_t found = 0;
  if (bpf_map_lookup_elem(kernel_->sockets(), &key, &found) == 0 && found == index) {
    bpf_map_delete_elem(kernel_->sockets(), &key);
  }
  // Should its link still stand for the record at the other end: that one leads nowhere from here on.
  record(index).phase = ((record(index).phase >> 2) + 1) << 2 | LS_LOCAL;
}

void ParkedSockets::free_record(uint32_t index) {
  release(index);
  free_.push_back(index);
}

}  // namespace longsplice::packet
