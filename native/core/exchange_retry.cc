// A backend that does not answer: the request goes to another one where that is safe, and the pool's budget allows it.
#include <algorithm>
#include <array>

#include "exchange.h"
#include "host.h"
#include "worker.h"

namespace longsplice {

namespace {

// A backend that closes a kept connection while a request is under way to it has done so within a round trip.
constexpr uint64_t kStaleNs = 1'000'000'000;
// How often a request is sent at most; attempts that did not get as far as a connection do not end it.
constexpr uint32_t kMaxAttempts = 4;

}  // namespace

// RFC 9110, 9.2.2.
bool Exchange::idempotent() const {
  static constexpr std::array<std::string_view, 6> kMethods{"GET",    "HEAD",    "PUT",
                                                            "DELETE", "OPTIONS", "TRACE"};
  return std::ranges::find(kMethods, method()) != kMethods.end();
}

void Exchange::upstream_failed(Failure failure) {
  const bool reused = upstream_ != nullptr && upstream_->reused();
  account_bytes();
  // That a kept connection has ended says nothing about the backend, if that is found out at once; a fresh one that fails does.
  const bool stale =
      reused && failure == Failure::reset && !response_started_ && monotonic_ns() - sent_ns_ < kStaleNs;
  if (stale) {
    worker_.load().add(backend_->slot, LoadField::errors, 1);
  } else {
    note_failure();
  }
  if (response_started_) {
    record(status_);
    // A length or chunks tell the client that something is missing. A body that ends by close does not: only a RST does.
    return over(response_ends_with_connection() ? Downstream::After::reset : Downstream::After::close);
  }
  const bool costs = !stale && failure != Failure::connect && failure != Failure::connect_timeout;
  const bool retry = may_retry(failure) && (!costs || has_budget());
  failure_status_ = failure == Failure::connect_timeout || failure == Failure::response_timeout ? 504 : 502;
  const uint32_t slot = backend_->slot;
  if (!retry) return answer(static_cast<uint32_t>(failure_status_), "the backend did not answer properly");
  if (!stale && pool_->wants_done) tell_failed_attempt();
  drop_upstream();
  release_place();
  backend_ = nullptr;
  attempts_++;
  failure_noted_ = false;
  retry_reason_ = stale ? "stale" : failure_name(failure);
  if (stale) {
    avoid_reuse_ = true;
  } else {
    tried_.push_back(slot);
  }
  interim_responses_ = 0;
  upstream_write_failed_ = false;
  if (request_fields_.chunked) {
    // The chunk reader has moved on; begin again at the start of the bytes that are still here.
    request_parser_.start(HttpParser::Kind::request, &request_,
                          {snapshot_->limits.header_bytes, snapshot_->limits.headers});
    request_parser_.parse_head(request_bytes_.data(), 0, request_bytes_.size());
    request_fields_ = summarize_fields(request_);
  }
  client_.set_state(Downstream::State::deciding);
  // Those who wait already come first.
  const bool waits =
      costs && any_left() && (worker_.has_queue(*pool_, Pool::Queue::budget) || !take_from_budget());
  if (waits) return wait_in_queue(Pool::Queue::budget);
  choose();
}

// Policies would take a backend that fails for an idle one, if they heard of those only that serve in the end.
void Exchange::tell_failed_attempt() {
  worker_.host().exchange_done({
      .pool = *pool_,
      .slot = backend_->slot,
      .status = 0,
      .ok = false,
      .head_micros = 0,
      .total_micros = (monotonic_ns() - sent_ns_) / 1000,
      .bytes = 0,
      .method = method(),
      .target = request_.text(request_.target),
      .host = host_,
      .headers = {},
  });
}

void Exchange::note_failure() {
  failure_noted_ = true;
  worker_.load().add(backend_->slot, LoadField::errors, 1);
  worker_.load().observe_result(backend_->slot, 0);
}

bool Exchange::may_retry(Failure failure) const {
  if (failure == Failure::response_timeout) return false;
  // An interim response has reached the client: the story cannot be told again from the beginning.
  if (interim_responses_ > 0) return false;
  // Every backend is asked at most once, and a backend that was not reached has seen nothing.
  if (failure == Failure::connect || failure == Failure::connect_timeout) return true;
  return idempotent() && replayable_ && attempts_ + 1 < kMaxAttempts;
}

const char* Exchange::failure_name(Failure failure) {
  switch (failure) {
    case Failure::connect:
      return "connect";
    case Failure::connect_timeout:
      return "connect_timeout";
    case Failure::garbage:
      return "garbage";
    default:
      return "reset";
  }
}

// A pool whose backends fail because they have too much to do must not get all of it twice at a time. The budget is the pool's,
// of all workers together. One is always allowed, or those that wait would wait for nothing.
int32_t Exchange::budget() const {
  const auto [slot, percent, least] = pool_->retries;
  int64_t active = 1;
  for (const Backend& backend : pool_->backends)
    active += worker_.load().get(backend.slot, LoadField::active);
  return static_cast<int32_t>(std::max<int64_t>({1, least, active * percent / 100}));
}

bool Exchange::has_budget() {
  if (pool_->retries.percent > 0 || pool_->retries.least > 0) return true;
  worker_.stats().retries_refused++;
  return false;
}

bool Exchange::take_from_budget() {
  if (in_budget_) return true;
  LoadTable& load = worker_.load();
  const int32_t taken = load.add(pool_->retries.slot, LoadField::active, 1);
  in_budget_ = taken <= budget();
  if (!in_budget_) load.add(pool_->retries.slot, LoadField::active, -1);
  return in_budget_;
}

void Exchange::leave_budget() {
  if (!std::exchange(in_budget_, false)) return;
  worker_.load().add(pool_->retries.slot, LoadField::active, -1);
  worker_.place_freed();
}

}  // namespace longsplice
