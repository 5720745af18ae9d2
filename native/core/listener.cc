#include "listener.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "downstream.h"
#include "worker.h"

namespace longsplice {

namespace {
constexpr int kAcceptsPerTurn = 64;
constexpr uint64_t kPauseMs = 20;
constexpr uint64_t kComplaintIntervalMs = 5000;
}  // namespace

Listener::Listener(Worker& worker, Fd fd, std::string name)
    : worker_(worker), fd_(std::move(fd)), name_(std::move(name)) {
  worker_.poller().add(fd_.get(), *this);
}

void Listener::on_events(uint32_t) {
  if (armed() || !fd_) return;
  for (int i = 0; i < kAcceptsPerTurn; i++) {
    switch (accept_one()) {
      case Outcome::accepted:
        break;
      case Outcome::empty:
        return;
      case Outcome::full:
        return pause();
    }
  }
  worker_.poller().resume_later(*this);
}

Listener::Outcome Listener::accept_one() {
  if (!worker_.may_accept()) return Outcome::full;
  SocketAddress peer;
  Fd fd(accept4(fd_.get(), peer.get(), peer.length_out(), SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    // A connection that was reset while it waited is not an end of the queue (accept(2), "Error handling").
    if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) return Outcome::accepted;
    if (errno == EAGAIN) return Outcome::empty;
    if (worker_.poller().now() - last_complaint_ >= kComplaintIntervalMs) {
      last_complaint_ = worker_.poller().now();
      worker_.host().log(LogLevel::error, "cannot accept on " + name_ + ": " + std::strerror(errno) +
                                              "; waiting connections stay queued");
    }
    return Outcome::full;
  }
  accepted_++;
  active_++;
  Downstream::start(worker_, *this, std::move(fd), peer);
  return Outcome::accepted;
}

// The socket stays readable without a new edge, so going on is the timer's task. Waiting beats spinning: descriptors
// and places come back only when connections end.
void Listener::pause() { worker_.poller().arm(*this, kPauseMs); }

void Listener::on_timeout() { on_events(0); }

void Listener::stop() {
  disarm();
  while (fd_ && accept_one() == Outcome::accepted) {
  }
  fd_.reset();
}

}  // namespace longsplice
