// Timeouts. All timers of one duration form one list in order of expiry, so arming, re-arming and disarming are
// constant-time list operations, and a worker has few durations (the `timeouts` of the configuration).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace longsplice {

class TimerQueue;

class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer() { disarm(); }

  void disarm();
  bool armed() const { return queue_ != nullptr; }

 protected:
  virtual void on_timeout() = 0;

 private:
  friend class TimerQueue;
  friend class Timers;
  TimerQueue* queue_ = nullptr;
  Timer* previous_ = nullptr;
  Timer* next_ = nullptr;
  uint64_t deadline_ = 0;
};

// The timers of one duration, earliest first.
class TimerQueue {
 public:
  explicit TimerQueue(uint64_t duration) : duration_(duration) {}
  ~TimerQueue();
  uint64_t duration() const { return duration_; }
  Timer* front() const { return head_; }
  void push(Timer& timer, uint64_t now);
  void remove(Timer& timer);

 private:
  uint64_t duration_;
  Timer* head_ = nullptr;
  Timer* tail_ = nullptr;
};

class Timers {
 public:
  static constexpr uint64_t kNever = UINT64_MAX;

  // (Re)starts `timer`, to fire `duration` milliseconds after `now`.
  void arm(Timer& timer, uint64_t duration, uint64_t now);
  // Fires everything that is due.
  void run(uint64_t now);
  // When the next timer is due, or kNever.
  uint64_t next_deadline() const;

 private:
  std::vector<std::unique_ptr<TimerQueue>> queues_;
};

}  // namespace longsplice
