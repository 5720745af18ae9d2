// One epoll instance with everything a worker waits for, timers included, so that the event loop that drives the
// worker has a single descriptor to watch.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "fd.h"
#include "timers.h"

namespace longsplice {

// Something with a descriptor in the poller. Registered edge-triggered, once, for both directions.
class Pollable {
 public:
  // In each round the events of backends come first, and what they lead to is sent before a client's are looked at: an
  // answer does not wait for requests that came later, places at backends and idle connections are free for those, and
  // receivers of one kind get what there is for them in one go.
  enum class Order : uint8_t { first, second };

  explicit Pollable(Order order = Order::second) : order_(order) {}
  Pollable(const Pollable&) = delete;
  Pollable& operator=(const Pollable&) = delete;
  virtual ~Pollable() = default;

  // `events` as from epoll_wait; 0 when the object asked to go on (`Poller::resume_later`).
  virtual void on_events(uint32_t events) = 0;

 private:
  friend class Poller;
  const Order order_;
  bool waiting_for_turn_ = false;
  bool dead_ = false;
};

class Poller {
 public:
  Poller();
  ~Poller();

  // Readable while `turn` has something to do.
  int fd() const { return epoll_.get(); }

  bool add(int fd, Pollable& pollable);

  // For an object that used up its share of a turn: it is called again after the others had theirs.
  void resume_later(Pollable& pollable);

  // Makes sure that a turn follows; for calls that come from outside of one.
  void wake();

  // Takes over an object that is finished. It gets no further calls, but lives to the end of the turn: events of the
  // same batch may still point to it, and so may its callers.
  void retire(Pollable* pollable);

  // Handles what is ready now, for a bounded time. `before` runs ahead of each round of events; `after` between the two
  // kinds of them, and at the end (flushing, housekeeping).
  void turn(const std::function<void()>& before, const std::function<void()>& after);

  Timers& timers() { return timers_; }
  // Milliseconds of CLOCK_MONOTONIC, taken once per round of events.
  uint64_t now() const { return now_; }
  void arm(Timer& timer, uint64_t milliseconds) { timers_.arm(timer, milliseconds, now_); }

 private:
  bool run_round(const std::function<void()>& before, const std::function<void()>& after);
  void handle(std::span<const epoll_event> events, Pollable::Order order);
  void bury();
  void set_alarm();
  void update_clock();

  Fd epoll_;
  Fd alarm_;  // timerfd: the earliest timer
  Fd again_;  // eventfd: there is more to do although no descriptor says so
  Timers timers_;
  uint64_t now_ = 0;
  uint64_t alarm_at_ = Timers::kNever;
  std::vector<Pollable*> pending_;
  std::vector<Pollable*> running_;
  std::vector<Pollable*> retired_;
};

// Nanoseconds of CLOCK_MONOTONIC, now.
uint64_t monotonic_ns();

}  // namespace longsplice
