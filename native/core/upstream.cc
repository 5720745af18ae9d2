#include "upstream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "exchange.h"
#include "socket_count.h"
#include "worker.h"

namespace longsplice {

namespace {
// The kernel doubles it, and half of that is the window. Less would make a backend on `lo` wait, where segments are as long
// as half of the largest window (RFC 9293, 3.8.6.2.1).
constexpr int kNarrowBytes = Upstream::kNarrowWindow;
// Beyond net.core.rmem_max, as the kernel itself may go (net.ipv4.tcp_rmem).
constexpr int kWideBytes = 4 * 1024 * 1024;
}  // namespace

Upstream* Upstream::connect(Worker& worker, uint32_t slot, const SocketAddress& address, Limits limits) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return nullptr;
  if (address.family() != AF_UNIX) {
    const int one = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (limits.mss != 0) setsockopt(fd.get(), IPPROTO_TCP, TCP_MAXSEG, &limits.mss, sizeof limits.mss);
  }
  const int result = ::connect(fd.get(), address.get(), address.length());
  if (result != 0 && errno != EINPROGRESS) return nullptr;
  auto* upstream = new Upstream(worker, slot);
  upstream->narrow_ = limits.narrow && address.family() != AF_UNIX;
  upstream->stream_.attach(std::move(fd), worker.held());
  if (result == 0) upstream->become_connected();
  worker.load().add(slot, LoadField::connections, 1);
  SocketCount::of_process().backend_connected();
  if (!worker.poller().add(upstream->stream_.fd(), *upstream)) {
    upstream->dispose();
    return nullptr;
  }
  return upstream;
}

Upstream::~Upstream() = default;

void Upstream::on_events(uint32_t events) {
  stream_.note_events(events);
  if (idle_) {
    // Bytes that nobody asked for, or the end: either way it is of no use any more.
    if (stream_.readable()) dispose();
    return;
  }
  if (!connected_) check_connect();
  if (exchange_ != nullptr) exchange_->on_upstream_event();
}

void Upstream::check_connect() {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(stream_.fd(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error == 0 && !stream_.broken()) become_connected();
}

// Not before: the scale of the window is agreed upon with the handshake, and has to do for the windows of clients.
void Upstream::become_connected() {
  connected_ = true;
  if (narrow_) setsockopt(stream_.fd(), SOL_SOCKET, SO_RCVBUF, &kNarrowBytes, sizeof kNarrowBytes);
}

void Upstream::widen() {
  if (!std::exchange(narrow_, false)) return;
  if (setsockopt(stream_.fd(), SOL_SOCKET, SO_RCVBUFFORCE, &kWideBytes, sizeof kWideBytes) != 0)
    setsockopt(stream_.fd(), SOL_SOCKET, SO_RCVBUF, &kWideBytes, sizeof kWideBytes);
  // Not every kernel raises the clamp with a buffer that is locked.
  setsockopt(stream_.fd(), IPPROTO_TCP, TCP_WINDOW_CLAMP, &kWideBytes, sizeof kWideBytes);
}

void Upstream::become_idle(uint64_t limit_ms) {
  exchange_ = nullptr;
  reused_ = true;
  idle_limit_ms_ = limit_ms;
  input_.release();
  // A body that was read to its exact length leaves it open whether something follows.
  const bool quiet = !stream_.readable() || stream_.quiet();
  if (limit_ms == 0 || !quiet || !stream_.let_go() || !worker_.idle_set().add(*this)) return dispose();
  idle_ = true;
  worker_.poller().arm(*this, limit_ms);
}

void Upstream::become_busy() {
  idle_ = false;
  disarm();
}

void Upstream::dispose() {
  if (disposed_) return;
  disposed_ = true;
  if (idle_) worker_.idle_set().remove(*this);
  idle_ = false;
  exchange_ = nullptr;
  disarm();
  stream_.close();
  worker_.load().add(slot_, LoadField::connections, -1);
  SocketCount::of_process().backend_left();
  worker_.poller().retire(this);
}

}  // namespace longsplice
