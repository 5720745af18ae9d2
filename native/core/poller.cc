#include "poller.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace longsplice {

namespace {

constexpr int kBatch = 256;
// A turn ends after this many rounds, so that JavaScript on the same loop is not kept waiting under load.
constexpr int kRoundsPerTurn = 8;

void drain(int fd) {
  uint64_t count;
  [[maybe_unused]] const ssize_t ignored = ::read(fd, &count, sizeof count);
}

}  // namespace

uint64_t monotonic_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(t.tv_nsec);
}

Poller::Poller()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      alarm_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
      again_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  for (const Fd* fd : {&alarm_, &again_}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = const_cast<Fd*>(fd);
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd->get(), &event);
  }
  update_clock();
}

Poller::~Poller() { bury(); }

bool Poller::add(int fd, Pollable& pollable) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &pollable;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Poller::resume_later(Pollable& pollable) {
  if (pollable.waiting_for_turn_ || pollable.dead_) return;
  pollable.waiting_for_turn_ = true;
  pending_.push_back(&pollable);
}

void Poller::retire(Pollable* pollable) {
  if (pollable->dead_) return;
  pollable->dead_ = true;
  retired_.push_back(pollable);
}

void Poller::turn(const std::function<void()>& before, const std::function<void()>& after) {
  bool more = true;
  for (int round = 0; more && round < kRoundsPerTurn; round++) {
    more = run_round(before, after) || !pending_.empty();
    bury();
  }
  set_alarm();
  if (!pending_.empty()) wake();
}

void Poller::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t ignored = ::write(again_.get(), &one, sizeof one);
}

// Returns whether there were as many events as it takes at a time.
bool Poller::run_round(const std::function<void()>& before, const std::function<void()>& after) {
  std::array<epoll_event, kBatch> buffer;
  const int count = epoll_wait(epoll_.get(), buffer.data(), kBatch, 0);
  const std::span events(buffer.data(), static_cast<size_t>(std::max(count, 0)));
  update_clock();
  before();
  running_.swap(pending_);
  handle(events, Pollable::Order::first);
  after();
  handle(events, Pollable::Order::second);
  for (Pollable* pollable : running_) {
    pollable->waiting_for_turn_ = false;
    if (!pollable->dead_) pollable->on_events(0);
  }
  running_.clear();
  timers_.run(now_);
  after();
  return count == kBatch;
}

void Poller::handle(std::span<const epoll_event> events, Pollable::Order order) {
  for (const epoll_event& event : events) {
    void* const source = event.data.ptr;
    if (source == &alarm_ || source == &again_) {
      if (order == Pollable::Order::second) continue;
      drain(static_cast<Fd*>(source)->get());
      if (source == &alarm_) alarm_at_ = Timers::kNever;
      continue;
    }
    auto* const pollable = static_cast<Pollable*>(source);
    if (pollable->order_ == order && !pollable->dead_) pollable->on_events(event.events);
  }
}

void Poller::bury() {
  // A destructor may retire further objects.
  while (!retired_.empty()) {
    Pollable* pollable = retired_.back();
    retired_.pop_back();
    std::erase(pending_, pollable);
    delete pollable;
  }
}

// An alarm that comes too early costs a wakeup, one that is moved on every change costs a system call each: so it is
// only ever moved forward in time.
void Poller::set_alarm() {
  const uint64_t deadline = timers_.next_deadline();
  if (deadline >= alarm_at_) return;
  alarm_at_ = deadline;
  itimerspec spec{};
  spec.it_value.tv_sec = static_cast<time_t>(deadline / 1000);
  spec.it_value.tv_nsec = static_cast<long>(deadline % 1000) * 1'000'000 + 1;
  timerfd_settime(alarm_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

void Poller::update_clock() { now_ = monotonic_ns() / 1'000'000; }

}  // namespace longsplice
