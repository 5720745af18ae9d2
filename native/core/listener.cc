#include "listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "downstream.h"
#include "worker.h"

namespace longsplice {

namespace {
constexpr int kAcceptsPerTurn = 64;
constexpr uint64_t kPauseMs = 20;
constexpr uint64_t kLogIntervalMs = 5000;
}  // namespace

Listener::Listener(Worker& worker, Fd fd, std::string name, CidrSet proxy_from)
    : worker_(worker), fd_(std::move(fd)), proxy_from_(std::move(proxy_from)), name_(std::move(name)) {
  worker_.poller().add(fd_.get(), *this);
}

void Listener::limit_segments(uint32_t mss) {
  // Fails for Unix sockets, which have no segments.
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss);
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
  if (!worker_.may_accept()) {
    complain("as many connections are open as may be (limits.connections, or the descriptors)");
    return Outcome::full;
  }
  SocketAddress peer;
  Fd fd(accept4(fd_.get(), peer.get(), peer.length_out(), SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    // A connection that was reset while it waited is not an end of the queue (accept(2), "Error handling").
    if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) return Outcome::accepted;
    if (errno == EAGAIN) return Outcome::empty;
    complain(std::string("cannot accept: ") + std::strerror(errno));
    return Outcome::full;
  }
  accepted_++;
  active_++;
  Downstream::start(worker_, *this, std::move(fd), peer, proxy_from_.contains(peer));
  return Outcome::accepted;
}

bool Listener::may_log(uint64_t& last) const {
  const uint64_t now = worker_.poller().now();
  if (last != 0 && now - last < kLogIntervalMs) return false;
  last = now;
  return true;
}

void Listener::refused_proxy_header(const std::string& peer) {
  refused_++;
  if (!may_log(last_refusal_)) return;
  const uint64_t others = std::exchange(refused_, 0) - 1;
  const std::string more =
      others == 0 ? "" : " (and " + std::to_string(others) + " since the last such line)";
  worker_.host().log(LogLevel::warn, name_ + ": no valid PROXY header from " + peer + more);
}

void Listener::complain(const std::string& what) {
  if (!may_log(last_complaint_)) return;
  worker_.host().log(LogLevel::error, name_ + ": " + what + "; new connections wait in the kernel's queue");
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
