#include "timers.h"

#include <algorithm>

namespace longsplice {

void Timer::disarm() {
  if (queue_ != nullptr) queue_->remove(*this);
}

TimerQueue::~TimerQueue() {
  while (head_ != nullptr) remove(*head_);
}

void TimerQueue::push(Timer& timer, uint64_t now) {
  timer.queue_ = this;
  timer.deadline_ = now + duration_;
  timer.next_ = nullptr;
  timer.previous_ = tail_;
  (tail_ != nullptr ? tail_->next_ : head_) = &timer;
  tail_ = &timer;
}

void TimerQueue::remove(Timer& timer) {
  (timer.previous_ != nullptr ? timer.previous_->next_ : head_) = timer.next_;
  (timer.next_ != nullptr ? timer.next_->previous_ : tail_) = timer.previous_;
  timer.queue_ = nullptr;
  timer.previous_ = timer.next_ = nullptr;
}

void Timers::arm(Timer& timer, uint64_t duration, uint64_t now) {
  timer.disarm();
  for (const auto& queue : queues_) {
    if (queue->duration() == duration) return queue->push(timer, now);
  }
  queues_.push_back(std::make_unique<TimerQueue>(duration));
  queues_.back()->push(timer, now);
}

void Timers::run(uint64_t now) {
  // A callback may add a queue; indexes stay valid where iterators would not.
  for (size_t i = 0; i < queues_.size(); i++) {
    TimerQueue& queue = *queues_[i];
    while (queue.front() != nullptr && queue.front()->deadline_ <= now) {
      Timer& timer = *queue.front();
      queue.remove(timer);
      timer.on_timeout();
    }
  }
}

uint64_t Timers::next_deadline() const {
  uint64_t earliest = kNever;
  for (const auto& queue : queues_) {
    if (queue->front() != nullptr) earliest = std::min(earliest, queue->front()->deadline_);
  }
  return earliest;
}

}  // namespace longsplice
