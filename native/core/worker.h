// The data plane of one thread: its listeners, its connections and what they share. Driven by `turn` whenever `fd` is
// readable; nothing in it is touched by another thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "../engine/engine.h"
#include "../engine/splicer.h"
#include "access_log.h"
#include "host.h"
#include "idle_set.h"
#include "listener.h"
#include "load_table.h"
#include "poller.h"
#include "snapshot.h"
#include "stats.h"
#include "stream.h"
#include "verdicts.h"

namespace longsplice {

class Downstream;
class Exchange;

class Worker {
 public:
  // `splicer` may be null.
  Worker(Host& host, LoadTable load, std::unique_ptr<Engine> engine, std::unique_ptr<Splicer> splicer,
         uint64_t id_seed);
  ~Worker();

  int fd() const { return poller_.fd(); }
  void turn();

  // Serves by this configuration from the next request on.
  void apply(SnapshotPtr snapshot);
  void listen(Fd fd, std::string name, CidrSet proxy_from);
  // Stops accepting; connections end after their current exchange. `Host::drained` follows.
  void drain();
  // Ends everything at once.
  void close();
  // The answer to a `Host::select` that was pending: a slot, or Host::kNone.
  void decided(uint32_t token, int32_t slot);
  // A field line for the response to the request that this decision is about.
  void add_response_field(uint32_t token, std::string_view line);

  Poller& poller() { return poller_; }
  Host& host() { return host_; }
  LoadTable& load() { return load_; }
  IdleSet& idle_set() { return idle_set_; }
  Stats& stats() { return stats_; }
  AccessLog& access_log() { return access_log_; }
  Engine& engine() { return *engine_; }
  Splicer* splicer() { return splicer_.get(); }
  HeldStreams& held() { return held_; }
  const SnapshotPtr& snapshot() const { return snapshot_; }
  // Whose slot it is now; null if nobody's.
  const Backend* backend_at(uint32_t slot) const {
    const auto found = backends_.find(slot);
    return found == backends_.end() ? nullptr : found->second;
  }
  // For exchanges that began before a reload: its slot is another one's by now.
  bool given_away(const Backend& backend) const {
    const Backend* now = backend_at(backend.slot);
    return now != nullptr && now->id != backend.id;
  }
  // The policy chains that exchanges may still ask, by number.
  std::vector<uint32_t> policies_in_use();
  const Verdicts& verdicts() const { return verdicts_; }
  const std::vector<std::unique_ptr<Listener>>& listeners() const { return listeners_; }
  bool draining() const { return draining_; }
  char* scratch() { return scratch_.get(); }
  static constexpr size_t kScratchBytes = 64 * 1024;

  // Brings the counters up to date with what passed in the kernel.
  void read_link_events();

  // Of a response whose body did not fit into a small window: whether it was long enough for a link.
  void note_body(uint32_t slot, bool linkable);
  // A body was not linked, for a reason that holds for others, too: the window need not be small, until the next reload.
  void note_refused_body(uint32_t slot) { bodies_[slot].refused = true; }
  // Most are: then a window that stays small is better, because little of a body has come before its head is read.
  bool sends_long_bodies(uint32_t slot) const;
  // A packet filter of this host changes the addresses of what is sent to a backend, so that its connections cannot be linked.
  void note_translation(uint32_t slot) { translated_.insert(slot); }
  bool translates(uint32_t slot) const { return translated_.contains(slot); }

  // Connections register here for their lifetime.
  void add_connection(Downstream& connection);
  void remove_connection(Downstream& connection);
  // Connections of the whole process against `limits.connections` and the descriptors.
  bool may_accept() const;

  uint32_t next_token() { return ++next_token_; }
  // The policies are asked for this one right now; `add_response_field` may follow until they have answered.
  void begin_decision(uint32_t token, Exchange& exchange) {
    chosen_for_ = &exchange;
    chosen_token_ = token;
  }
  void end_decision() { chosen_for_ = nullptr; }
  void await_decision(uint32_t token, Downstream& connection) { deciding_[token] = &connection; }
  void forget_decision(uint32_t token) { deciding_.erase(token); }

  // Requests that wait. Pools are told apart by name, so that who came before a reload stands before who came after it. False
  // when the queue is full.
  bool enqueue(const Pool& pool, Pool::Queue queue, Downstream& connection);
  void dequeue(const Pool& pool, Pool::Queue queue, Downstream& connection);
  bool has_queue(const Pool& pool, Pool::Queue queue) const { return queues_.contains({pool.name, queue}); }
  // Queued requests get their chance at the end of the round, not inside the call that frees the place.
  void place_freed() { place_freed_ = true; }

  // Hexadecimal digits, different for each request of this process.
  using RequestId = std::array<char, 16>;
  RequestId next_request_id();

 private:
  class Ticker;
  class LinkCall;
  class Sweeper;
  void sweep();
  uint32_t least_mss() const;
  uint64_t backend_states() const;
  void publish_verdicts();
  void notice_backend_states();
  void note_loads();
  void before_round();
  void after_round();
  void serve_queues();
  void tick();
  void finish_drain();

  Host& host_;
  LoadTable load_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Splicer> splicer_;
  HeldStreams held_;
  std::unique_ptr<char[]> scratch_;
  SnapshotPtr snapshot_;
  std::unordered_map<uint32_t, const Backend*> backends_;  // of the snapshot, by slot
  std::vector<std::weak_ptr<const Snapshot>>
      snapshots_;  // that one, and those of exchanges that began before
  Verdicts verdicts_;
  uint64_t backend_states_ = 0;
  std::unordered_set<uint32_t> translated_;  // slots
  // Of a backend: the score rises with each long body and falls with each that is not.
  struct Bodies {
    int score = 0;
    bool mostly_long = false;
    bool refused = false;
  };
  std::unordered_map<uint32_t, Bodies> bodies_;  // by slot
  Stats stats_;
  AccessLog access_log_;
  Poller poller_;
  IdleSet idle_set_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_set<Downstream*> connections_;
  Exchange* chosen_for_ = nullptr;
  uint32_t chosen_token_ = 0;
  std::unordered_map<uint32_t, Downstream*> deciding_;
  using QueueKey = std::pair<std::string, Pool::Queue>;
  std::map<QueueKey, std::deque<Downstream*>> queues_;
  std::unique_ptr<Ticker> ticker_;
  uint64_t tick_ms_ = 0;
  uint64_t loads_noted_ms_ = 0;
  std::unique_ptr<LinkCall> link_call_;
  std::unique_ptr<Sweeper> sweeper_;
  std::function<void()> before_round_;
  std::function<void()> after_round_;
  uint64_t id_seed_;
  uint64_t next_id_ = 0;
  uint32_t next_token_ = 0;
  bool place_freed_ = false;
  bool draining_ = false;
  bool drained_ = false;
};

}  // namespace longsplice
