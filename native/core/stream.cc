#include "stream.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace longsplice {

namespace {
constexpr size_t kPiecesPerCall = 64;
// What is worth a copy to be sent later. Beyond it the copy costs more than the wakeup.
constexpr size_t kHeldBytes = 4096;
}  // namespace

void HeldStreams::send() {
  // An error is reported as an event, too.
  for (Stream* stream : streams_) stream->flush_now();
  streams_.clear();
}

void Stream::attach(Fd fd, HeldStreams& held) {
  kept_.reset();
  fd_ = std::move(fd);
  round_ = &held;
  readable_ = peer_closed_ = broken_ = sending_shut_ = false;
  writable_ = true;
}

Splicer::Socket Stream::park(Splicer& splicer) {
  splicer_ = &splicer;
  int unread = 0;
  if (readable_) ioctl(fd_.get(), SIOCINQ, &unread);
  return {fd_.get(), received_, sent_, static_cast<uint32_t>(unread)};
}

void Stream::leave_splicer() {
  if (splicer_ != nullptr && fd_) splicer_->forget(fd_.get());
  splicer_ = nullptr;
}

void Stream::close() {
  leave_splicer();
  kept_.reset();
  fd_.reset();
}

void Stream::reset() {
  leave_splicer();
  kept_.reset();
  const linger abort{1, 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  fd_.reset();
}

void Stream::note_events(uint32_t events) {
  if (events & EPOLLIN) readable_ = true;
  if (events & EPOLLOUT) writable_ = true;
  if (events & EPOLLRDHUP) readable_ = peer_closed_ = true;
  // HUP alone means that both sides have sent their FIN: there may still be bytes to read.
  if (events & (EPOLLERR | EPOLLHUP)) readable_ = writable_ = peer_closed_ = true;
  if (events & EPOLLERR) broken_ = true;
}

Stream::Read Stream::receive(char* to, size_t room, size_t& received) {
  if (!readable_) return Read::would_block;
  const ssize_t count = ::recv(fd_.get(), to, room, 0);
  if (count > 0) {
    received = static_cast<size_t>(count);
    received_ += received;
    // A short read emptied the socket: the next bytes raise a new edge, so the call that would say EAGAIN is saved.
    // Not so when a FIN is known to wait behind the bytes: it raised its edge already.
    if (received < room && !peer_closed_) readable_ = false;
    return Read::data;
  }
  if (count < 0 && errno == EINTR) return receive(to, room, received);
  return without_bytes(count);
}

// What it means that a system call brought none.
Stream::Read Stream::without_bytes(ssize_t result) {
  if (result == 0 && kept_ && kept_->owes(received_)) {
    readable_ = false;
    return Read::would_block;
  }
  if (result == 0) {
    peer_closed_ = true;
    return Read::closed;
  }
  if (errno == EAGAIN) {
    readable_ = false;
    return Read::would_block;
  }
  broken_ = true;
  return Read::failed;
}

Stream::Read Stream::splice_into(int pipe, size_t room, size_t& received) {
  if (!readable_) return Read::would_block;
  const ssize_t count = ::splice(fd_.get(), nullptr, pipe, nullptr, room, SPLICE_F_NONBLOCK);
  if (count > 0) {
    received = static_cast<size_t>(count);
    received_ += received;
    return Read::data;
  }
  if (count < 0 && errno == EINTR) return splice_into(pipe, room, received);
  return without_bytes(count);
}

// splice(2) has no MSG_NOSIGNAL: a connection that is gone raises SIGPIPE. Node ignores it from its start on
// (PlatformInit in its node.cc), for all threads; so EPIPE is all that is heard of it.
bool Stream::splice_from(int pipe, size_t count, size_t& sent) {
  if (!writable_) return true;
  const ssize_t result = ::splice(pipe, nullptr, fd_.get(), nullptr, count, SPLICE_F_NONBLOCK);
  if (result > 0) {
    sent = static_cast<size_t>(result);
    sent_ += sent;
    return true;
  }
  if (result < 0 && errno == EAGAIN) {
    writable_ = false;
    return true;
  }
  if (result < 0 && errno == EINTR) return splice_from(pipe, count, sent);
  broken_ = true;
  return false;
}

Stream::Read Stream::peek() {
  char byte;
  const ssize_t count = ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (count >= 0) {
    readable_ = true;
    return count > 0 ? Read::data : Read::closed;
  }
  if (errno != EAGAIN) return Read::failed;
  readable_ = false;
  return Read::would_block;
}

bool Stream::send(std::span<const iovec> pieces) { return hold(pieces) || send_now(pieces); }

bool Stream::flush_now() {
  held_ = false;
  return output_.empty() || !fd_ || send_now({});
}

bool Stream::hold(std::span<const iovec> pieces) {
  if (!writable_) return false;
  size_t total = output_.size();
  for (const iovec& piece : pieces) total += piece.iov_len;
  if (total > kHeldBytes) return false;
  for (const iovec& piece : pieces) output_.append({static_cast<const char*>(piece.iov_base), piece.iov_len});
  if (!output_.empty() && !std::exchange(held_, true)) round_->add(*this);
  return true;
}

bool Stream::send_now(std::span<const iovec> pieces) {
  held_ = false;
  std::array<iovec, kPiecesPerCall + 1> vector;
  size_t next = 0;
  do {
    size_t count = 0;
    size_t total = output_.size();
    if (!output_.empty()) vector[count++] = {const_cast<char*>(output_.data()), output_.size()};
    for (; next < pieces.size() && count <= kPiecesPerCall; next++) {
      vector[count++] = pieces[next];
      total += pieces[next].iov_len;
    }
    if (total == 0) return true;
    size_t sent = 0;
    if (writable_ && !transmit({vector.data(), count}, sent)) return false;
    const size_t from_output = sent < output_.size() ? sent : output_.size();
    const bool had_output = !output_.empty();
    if (from_output > 0) output_.consume(from_output);
    sent -= from_output;
    for (size_t i = had_output ? 1 : 0; i < count; i++) {
      const size_t skip = sent < vector[i].iov_len ? sent : vector[i].iov_len;
      sent -= skip;
      output_.append({static_cast<const char*>(vector[i].iov_base) + skip, vector[i].iov_len - skip});
    }
    if (!output_.empty()) writable_ = false;
  } while (next < pieces.size());
  return true;
}

bool Stream::transmit(std::span<iovec> pieces, size_t& sent) {
  ssize_t count = 0;
  if (pieces.size() == 1) {
    count = ::send(fd_.get(), pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
  } else {
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    count = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
  }
  if (count >= 0) {
    sent = static_cast<size_t>(count);
    sent_ += sent;
    return true;
  }
  if (errno == EINTR) return transmit(pieces, sent);
  if (errno == EAGAIN) return true;
  broken_ = true;
  return false;
}

void Stream::shut_down_sending() {
  if (sending_shut_ || !fd_) return;
  flush_now();
  if (blocked()) return;
  sending_shut_ = true;
  ::shutdown(fd_.get(), SHUT_WR);
}

}  // namespace longsplice
