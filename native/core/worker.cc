#include "worker.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "downstream.h"
#include "exchange.h"
#include "socket_count.h"
#include "upstream.h"

namespace longsplice {

namespace {

// Access log lines of a quiet proxy are handed over at least this often, and what passed in the kernel is looked for; queued
// requests look for places that other workers freed.
constexpr uint64_t kLogTickMs = 100;
constexpr uint64_t kQueueTickMs = 5;
// Looking at a link costs some cache misses: where there are many, each is looked at less often.
constexpr uint32_t kLinksPerMs = 10;
// While draining, a connection that has been quiet for this long is closed; a busier one gets to send its next
// request, which is answered with "connection: close". Closing it at once would meet requests on their way.
constexpr uint64_t kDrainQuietMs = 1000;
constexpr uint64_t kDrainTickMs = 50;
constexpr uint64_t kSweepMs = 1000;

}  // namespace

class Worker::Ticker final : public Timer {
 public:
  explicit Ticker(Worker& worker) : worker_(worker) {}

 private:
  void on_timeout() override { worker_.tick(); }
  Worker& worker_;
};

class Worker::LinkCall final : public Pollable {
  // Each round looks what is new of links.
  void on_events(uint32_t) override {}
};

class Worker::Sweeper final : public Timer {
  // The end of the round sweeps, because it is time again.
  void on_timeout() override {}
};

Worker::Worker(Host& host, LoadTable load, std::unique_ptr<Engine> engine, std::unique_ptr<Splicer> splicer,
               uint64_t id_seed)
    : host_(host),
      load_(load),
      engine_(std::move(engine)),
      splicer_(std::move(splicer)),
      scratch_(std::make_unique<char[]>(kScratchBytes)),
      snapshot_(std::make_shared<Snapshot>()),
      ticker_(std::make_unique<Ticker>(*this)),
      before_round_([this] { before_round(); }),
      after_round_([this] { after_round(); }),
      id_seed_(id_seed) {
  if (!splicer_) return;
  link_call_ = std::make_unique<LinkCall>();
  poller_.add(splicer_->fd(), *link_call_);
  sweeper_ = std::make_unique<Sweeper>();
}

Worker::~Worker() { close(); }

// Once a second, and at once when the first link stands: it is by the sweep that the splicer knows the time.
void Worker::sweep() {
  if (!splicer_ || !splicer_->busy() || sweeper_->armed()) return;
  const Timeouts& timeouts = snapshot_->timeouts;
  splicer_->sweep(poller_.now(), {timeouts.idle, timeouts.response, timeouts.stream});
  poller_.arm(*sweeper_, kSweepMs);
}

// Links return at their next request when a backend may be chosen that might not before, or the other way round.
void Worker::notice_backend_states() {
  if (!splicer_ || backend_states() == backend_states_) return;
  publish_verdicts();
  const std::vector<Downstream*> all(connections_.begin(), connections_.end());
  for (Downstream* connection : all) connection->leave_lost_backend();
}

// The kernel does not say when a request begins on a link, so it is asked now and then. What comes between two looks is short.
void Worker::note_loads() {
  if (!splicer_ || splicer_->active() == 0) return;
  const uint64_t now = poller_.now();
  if (now - loads_noted_ms_ < std::max<uint64_t>(kLogTickMs, splicer_->active() / kLinksPerMs)) return;
  loads_noted_ms_ = now;
  for (Downstream* connection : connections_) connection->note_load();
}

// A number that is another one when a backend may be chosen that might not before, or the other way round, or when a policy
// thinks otherwise of what it has placed.
uint64_t Worker::backend_states() const {
  auto states = static_cast<uint64_t>(load_.placement());
  for (const Pool& pool : snapshot_->pools) {
    for (const Backend& backend : pool.backends) {
      const auto eligible = static_cast<uint64_t>(load_.get(backend.slot, LoadField::eligible));
      const auto weight = static_cast<uint64_t>(load_.get(backend.slot, LoadField::weight));
      states = states * 0x9E3779B97F4A7C15u + (eligible << 32 | weight);
    }
  }
  return states;
}

void Worker::publish_verdicts() {
  if (!splicer_) return;
  backend_states_ = backend_states();
  verdicts_ = Verdicts(*snapshot_, backend_states_);
  splicer_->publish(verdicts_.table());
}

namespace {
// So many more of one kind than of the other change what is thought of a backend: it costs the connections that are kept.
constexpr int kMajority = 8;
}  // namespace

void Worker::note_body(uint32_t slot, bool linkable) {
  Bodies& bodies = bodies_[slot];
  bodies.score = std::clamp(bodies.score + (linkable ? 1 : -1), 0, kMajority);
  if (bodies.score == kMajority) bodies.mostly_long = true;
  if (bodies.score == 0) bodies.mostly_long = false;
}

bool Worker::sends_long_bodies(uint32_t slot) const {
  const auto found = bodies_.find(slot);
  return found != bodies_.end() && found->second.mostly_long && !found->second.refused && !translates(slot);
}

void Worker::turn() {
  poller_.turn(before_round_, after_round_);
  if (splicer_ && !splicer_->rest()) poller_.wake();
}

void Worker::before_round() {
  if (splicer_) splicer_->attend();
}

void Worker::after_round() {
  // What they send leaves with the rest.
  if (std::exchange(place_freed_, false)) serve_queues();
  sweep();
  if (splicer_) splicer_->flush();
  held_.send();
  if (draining_ && connections_.empty()) finish_drain();
  if (access_log_.full()) {
    host_.access_log(access_log_.lines());
    access_log_.clear();
  }
  const bool linked = splicer_ && splicer_->active() > 0;
  const bool wants_tick = !access_log_.empty() || !queues_.empty() || linked || (draining_ && !drained_);
  if (!wants_tick) return;
  const uint64_t interval = !queues_.empty() ? kQueueTickMs : draining_ ? kDrainTickMs : kLogTickMs;
  if (ticker_->armed() && interval >= tick_ms_) return;
  tick_ms_ = interval;
  poller_.arm(*ticker_, interval);
}

void Worker::read_link_events() {
  if (!splicer_ || splicer_->active() == 0) return;
  splicer_->handle_events();
  poller_.wake();
}

void Worker::tick() {
  // The kernel calls only when there is much to tell of what passed.
  if (splicer_) splicer_->handle_events();
  notice_backend_states();
  note_loads();
  if (!access_log_.empty()) {
    host_.access_log(access_log_.lines());
    access_log_.clear();
  }
  serve_queues();
  if (draining_) finish_drain();
}

void Worker::apply(SnapshotPtr snapshot) {
  std::unordered_map<uint32_t, const Backend*> kept;
  for (const Pool& pool : snapshot->pools) {
    for (const Backend& backend : pool.backends) kept[backend.slot] = &backend;
  }
  for (const Pool& pool : snapshot_->pools) {
    for (const Backend& backend : pool.backends) {
      const auto found = kept.find(backend.slot);
      if (found != kept.end() && found->second->is(backend)) continue;
      idle_set_.close_slot(backend.slot);
    }
  }
  translated_.clear();
  bodies_.clear();
  snapshot_ = std::move(snapshot);
  backends_ = std::move(kept);
  snapshots_.push_back(snapshot_);
  publish_verdicts();
  const uint32_t mss = least_mss();
  for (const auto& listener : listeners_) listener->limit_segments(mss);
}

std::vector<uint32_t> Worker::policies_in_use() {
  std::erase_if(snapshots_, [](const auto& snapshot) { return snapshot.expired(); });
  std::vector<uint32_t> numbers;
  for (const auto& weak : snapshots_) {
    const SnapshotPtr snapshot = weak.lock();
    for (const Pool& pool : snapshot->pools) numbers.push_back(pool.policy);
  }
  return numbers;
}

// What every client's segments have to fit through, as nobody on the way of a link could cut them.
uint32_t Worker::least_mss() const {
  if (!splicer_) return 0;
  uint32_t least = 0;
  for (const Pool& pool : snapshot_->pools) {
    for (const Backend& backend : pool.backends) {
      const uint32_t mss = backend.original_destination ? 0 : splicer_->path_mss(backend.address);
      if (mss != 0 && (least == 0 || mss < least)) least = mss;
    }
  }
  return least;
}

void Worker::listen(Fd fd, std::string name, CidrSet proxy_from) {
  const SocketAddress address = SocketAddress::local_of(fd.get());
  if (splicer_ && address.family() != AF_UNIX) splicer_->serve(address);
  listeners_.push_back(
      std::make_unique<Listener>(*this, std::move(fd), std::move(name), std::move(proxy_from)));
  listeners_.back()->limit_segments(least_mss());
}

void Worker::drain() {
  if (draining_) return;
  draining_ = true;
  for (const auto& listener : listeners_) listener->stop();
  for (Downstream* connection : connections_) connection->recall_link();
  poller_.wake();
}

void Worker::finish_drain() {
  if (drained_) return;
  const std::vector<Downstream*> all(connections_.begin(), connections_.end());
  for (Downstream* connection : all) connection->close_if_quiet(kDrainQuietMs);
  if (!connections_.empty()) return;
  drained_ = true;
  idle_set_.close_all();
  if (!access_log_.empty()) host_.access_log(access_log_.lines());
  access_log_.clear();
  host_.drained();
}

void Worker::close() {
  for (const auto& listener : listeners_) listener->stop();
  const std::vector<Downstream*> all(connections_.begin(), connections_.end());
  for (Downstream* connection : all) connection->close();
  idle_set_.close_all();
  ticker_->disarm();
  if (sweeper_) sweeper_->disarm();
}

void Worker::decided(uint32_t token, int32_t slot) {
  const auto found = deciding_.find(token);
  if (found == deciding_.end()) return;
  Downstream* connection = found->second;
  deciding_.erase(found);
  connection->decided(slot);
  poller_.wake();
}

void Worker::add_response_field(uint32_t token, std::string_view line) {
  if (chosen_for_ != nullptr && chosen_token_ == token) return chosen_for_->add_response_field(line);
  const auto found = deciding_.find(token);
  if (found != deciding_.end()) found->second->add_response_field(line);
}

void Worker::add_connection(Downstream& connection) {
  connections_.insert(&connection);
  SocketCount::of_process().client_came();
}

void Worker::remove_connection(Downstream& connection) {
  if (connections_.erase(&connection) > 0) SocketCount::of_process().client_left(connection.served());
}

bool Worker::may_accept() const {
  const SocketCount& sockets = SocketCount::of_process();
  const uint32_t limit = snapshot_->limits.connections;
  return (limit == 0 || sockets.clients() < limit) && sockets.admits_client();
}

bool Worker::enqueue(const Pool& pool, Pool::Queue queue, Downstream& connection) {
  const QueueKey key{pool.name, queue};
  const auto found = queues_.find(key);
  const size_t waiting = found == queues_.end() ? 0 : found->second.size();
  if (waiting >= snapshot_->limits.queue) return false;
  // Not before: `serve_queues` takes every queue for one in which somebody waits.
  queues_[key].push_back(&connection);
  return true;
}

void Worker::dequeue(const Pool& pool, Pool::Queue queue, Downstream& connection) {
  const auto found = queues_.find({pool.name, queue});
  if (found == queues_.end()) return;
  std::erase(found->second, &connection);
  if (found->second.empty()) queues_.erase(found);
}

void Worker::serve_queues() {
  std::vector<QueueKey> waiting;
  for (const auto& [key, queue] : queues_) waiting.push_back(key);
  for (const QueueKey& key : waiting) {
    // Whose turn it is may leave the queue, and take it along.
    size_t passed_over = 0;
    for (auto found = queues_.find(key); found != queues_.end() && passed_over < found->second.size();
         found = queues_.find(key)) {
      const Pool::Turn turn = found->second[passed_over]->try_from_queue();
      if (turn == Pool::Turn::nothing) break;
      if (turn == Pool::Turn::passed_over) passed_over++;
    }
  }
}

Worker::RequestId Worker::next_request_id() {
  // splitmix64: a bijection of the counter, so no id repeats within a worker.
  uint64_t z = id_seed_ + ++next_id_ * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  static constexpr char kHex[] = "0123456789abcdef";
  RequestId id;
  for (size_t i = 0; i < id.size(); i++) id[i] = kHex[(z >> (60 - 4 * i)) & 15];
  return id;
}

}  // namespace longsplice
