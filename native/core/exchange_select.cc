// From route to a connected backend.
#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "exchange.h"
#include "host.h"
#include "worker.h"

namespace longsplice {

namespace {
constexpr size_t kMaxCandidates = 4096;

// What the last system call said.
bool out_of_descriptors() { return errno == EMFILE || errno == ENFILE; }
}  // namespace

// Asks the pool's policies to choose among the backends that are eligible, untried and have room.
void Exchange::choose() {
  thread_local std::array<uint32_t, kMaxCandidates> slots;
  size_t count = 0;
  bool any_eligible = false;
  for (const Backend& backend : pool_->backends) {
    if (!is_left(backend)) continue;
    any_eligible = true;
    if (worker_.load().has_room(backend.slot) && count < kMaxCandidates) slots[count++] = backend.slot;
  }
  if (!any_eligible) return none_left("no healthy backend");
  if (count == 0) return wait_in_queue(Pool::Queue::place);
  if (retry_reason_ != nullptr) worker_.stats().retries[std::exchange(retry_reason_, nullptr)]++;
  const uint32_t token = worker_.next_token();
  const std::string_view path = target_.substr(0, target_.find('?'));
  policy_fields_.clear();
  worker_.begin_decision(token, *this);
  const int32_t slot = worker_.host().select({
      .pool = *pool_,
      .head = request_,
      .method = method(),
      .target = target_,
      .path_length = static_cast<uint32_t>(path.size()),
      .host = host_,
      .client_address = client_address(),
      .attempt = attempts_,
      .token = token,
      .candidates = {slots.data(), count},
  });
  worker_.end_decision();
  if (slot == Host::kPending) {
    token_ = token;
    worker_.await_decision(token, client_);
    client_.arm(snapshot_->timeouts.connect);
    return;
  }
  use(slot);
}

// What a backend did to the request says more than that.
void Exchange::none_left(std::string_view why) {
  if (failure_status_ != 0) return answer(static_cast<uint32_t>(failure_status_), "no backend answered");
  answer(503, why);
}

// A candidate, as far as anybody but the policies is concerned.
bool Exchange::is_left(const Backend& backend) const {
  return worker_.load().get(backend.slot, LoadField::eligible) != 0 &&
         std::ranges::find(tried_, backend.slot) == tried_.end() &&
         (pool_snapshot() == worker_.snapshot() || !worker_.given_away(backend));
}

bool Exchange::any_left() const {
  return std::ranges::any_of(pool_->backends, [&](const Backend& backend) { return is_left(backend); });
}

void Exchange::decided(int32_t slot) {
  token_ = 0;
  // While a policy thought about it, a backend may have failed, or have been drained.
  const Backend* chosen = slot == Host::kNone ? nullptr : find_backend(static_cast<uint32_t>(slot));
  if (chosen != nullptr && !is_left(*chosen)) return choose();
  use(slot);
}

void Exchange::use(int32_t slot) {
  if (slot == Host::kNone) return answer(503, "the policy left no backend");
  backend_ = find_backend(static_cast<uint32_t>(slot));
  if (backend_ == nullptr) return answer(503, "the policy chose a backend that is gone");
  // Another worker may have taken the last place since the candidates were listed.
  if (!worker_.load().acquire(backend_->slot)) {
    backend_ = nullptr;
    return wait_in_queue(Pool::Queue::place);
  }
  holds_place_ = true;
  note_place();
  sent_ns_ = monotonic_ns();
  if (attempts_ == 0) {
    worker_.stats().decision_seconds.observe(static_cast<double>(sent_ns_ - head_done_ns_) * 1e-9);
  }
  if (connect()) return;
  // No fault of the backend's, and no other one would fare better.
  if (out_of_descriptors()) return answer(503, "no descriptor is left for a connection to the backend");
  upstream_failed(Failure::connect);
}

// Requests for the same target may follow this one without being asked about.
void Exchange::note_place() {
  if (worker_.splicer() == nullptr || attempts_ > 0 || pool_->choice != Pool::Choice::by_target) return;
  // The number of the route is another one's after a reload.
  if (snapshot_ != worker_.snapshot() || !snapshot_->passes_by_connection(route_)) return;
  worker_.splicer()->place(route_, request_fields_.host, request_.text(request_.target), backend_->slot);
}

const Backend* Exchange::find_backend(uint32_t slot) const {
  const auto found = std::ranges::find(pool_->backends, slot, &Backend::slot);
  return found == pool_->backends.end() ? nullptr : &*found;
}

void Exchange::wait_in_queue(Pool::Queue queue) {
  client_.set_state(Downstream::State::deciding);
  if (queued_) return;
  queue_ = queue;
  // One that waits for a place is at no backend; others may try meanwhile.
  owes_budget_ = in_budget_;
  leave_budget();
  if (!worker_.enqueue(*pool_, queue_, client_))
    return not_served("all backends are busy and the queue is full");
  queued_ = true;
  client_.arm(snapshot_->timeouts.queue);
}

// It waited in vain, or there was no room to wait in. What a backend did to it says more than that.
void Exchange::not_served(std::string_view why) {
  if (queue_ == Pool::Queue::place) return answer(503, why);
  worker_.stats().retries_refused++;
  answer(static_cast<uint32_t>(failure_status_),
         "the backend did not answer properly, and others have enough to do");
}

// While it waits, backends may come and go: it is served by those that the pool has now, and by the policies that choose among
// them. False when there is no such pool any more.
bool Exchange::renew_pool() {
  const SnapshotPtr& now = worker_.snapshot();
  if (pool_snapshot() == now) return true;
  const auto found = std::ranges::find(now->pools, pool_->name, &Pool::name);
  if (found == now->pools.end()) return false;
  // Another one may have the slot of one that failed.
  std::erase_if(tried_, [&](uint32_t slot) {
    const Backend* backend = find_backend(slot);
    return backend == nullptr || worker_.given_away(*backend);
  });
  pool_ = &*found;
  renewed_ = now;
  return true;
}

Pool::Turn Exchange::try_from_queue() {
  using enum Pool::Turn;
  if (!renew_pool()) {
    none_left("the pool is gone");
    return served;
  }
  // A retry has nothing to wait for when the backends that it has not tried are gone. Who has tried none waits for one to come.
  if (!tried_.empty() && !any_left()) {
    none_left("no healthy backend");
    return served;
  }
  if (queue_ == Pool::Queue::budget) {
    if (!take_from_budget()) return nothing;
  } else {
    const bool any_room = std::ranges::any_of(pool_->backends, [&](const Backend& backend) {
      return worker_.load().has_room(backend.slot) && is_left(backend);
    });
    // Others may have a place where this one has been already.
    if (!any_room) return tried_.empty() ? nothing : passed_over;
    if (owes_budget_ && !take_from_budget()) return passed_over;
    owes_budget_ = false;
  }
  leave_queue();
  choose();
  return served;
}

void Exchange::leave_queue() {
  if (!queued_) return;
  queued_ = false;
  worker_.dequeue(*pool_, std::exchange(queue_, Pool::Queue::place), client_);
}

bool Exchange::connect() {
  client_.set_state(Downstream::State::connecting);
  plan_link();
  upstream_ = may_reuse() ? worker_.idle_set().take(backend_->slot) : nullptr;
  // A request that must not be sent twice is worth a system call that finds a FIN which is not reported yet.
  while (upstream_ != nullptr && !idempotent() && !upstream_->stream().quiet()) {
    upstream_->dispose();
    upstream_ = worker_.idle_set().take(backend_->slot);
  }
  if (upstream_ == nullptr) upstream_ = open_upstream();
  if (upstream_ == nullptr && out_of_descriptors()) {
    // Connections that are kept in case of need are worth less than one that is needed.
    worker_.idle_set().close_all();
    upstream_ = open_upstream();
  }
  if (upstream_ == nullptr) return false;
  upstream_->assign(this);
  if (!upstream_->connected()) {
    client_.arm(snapshot_->timeouts.connect);
    return true;
  }
  start_request();
  return true;
}

// A connection that began with a PROXY header speaks for one client, and the original destination is the client's.
bool Exchange::may_reuse() const {
  return !avoid_reuse_ && pool_->proxy_protocol == ProxyProtocol::none && !backend_->original_destination;
}

Upstream* Exchange::open_upstream() {
  errno = 0;  // `out_of_descriptors` must not find what another call left there
  Splicer* splicer = worker_.splicer();
  Upstream::Limits limits;
  if (splicer != nullptr) {
    limits.mss = splicer->upstream_mss(client_.stream().fd());
    limits.narrow = worker_.sends_long_bodies(backend_->slot);
  }
  if (!backend_->original_destination)
    return Upstream::connect(worker_, backend_->slot, backend_->address, limits);
  const auto destination = SocketAddress::original_destination_of(client_.stream().fd());
  return destination ? Upstream::connect(worker_, backend_->slot, *destination, limits) : nullptr;
}

bool Exchange::step_connecting() {
  if (upstream_ == nullptr) return false;
  if (upstream_->connected()) {
    sent_ns_ = monotonic_ns();
    start_request();
    return true;
  }
  if (!upstream_->stream().broken()) return false;
  upstream_failed(Failure::connect);
  return true;
}

void Exchange::drop_upstream() {
  if (upstream_ == nullptr) return;
  upstream_->dispose();
  upstream_ = nullptr;
}

}  // namespace longsplice
