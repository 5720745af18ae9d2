// What both ends of the soak share: a poller, a socket that does not block, and the language of the requests.
#ifndef LONGSPLICE_TEST_CHURN_H
#define LONGSPLICE_TEST_CHURN_H

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "peer.h"

namespace churn {

using peer::die;
using peer::to_number;

// What the server does with a request, the last letter of its target.
enum class Answer : char {
  keep = 'k',           // a response
  finish = 'f',         // a response, and FIN behind it
  reset_after = 'r',    // a part of a response, and RST behind it
  reset_early = 'x',    // RST instead of a response
  reset_body = 'm',     // RST in the middle of the request's body
  reset_idle = 'i',     // a response, and RST behind it
  finish_early = 'e',   // FIN instead of a response
  finish_within = 'w',  // a part of a response, and FIN behind it
  chunked = 'c',        // a response in chunks
  never = 'n',          // nothing
};

class Poll {
 public:
  Poll() : fd_(epoll_create1(EPOLL_CLOEXEC)) {
    if (fd_ < 0) die("epoll");
  }
  void add(int fd, void* owner) const {
    epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {owner}};
    if (epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
  }
  template <typename F>
  void wait(int ms, F&& handle) const {
    std::array<epoll_event, 256> events;
    const int count = epoll_wait(fd_, events.data(), events.size(), ms);
    if (count < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < count; i++) handle(events[static_cast<size_t>(i)].data.ptr);
  }

 private:
  int fd_;
};

// A socket that does not block.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  bool was_reset() const { return was_reset_; }
  bool sent_all() const { return output_.empty(); }

  void queue(std::string_view bytes) { output_.append(bytes); }
  void finish_behind() { finish_ = true; }

  // False when the other side has reset the connection.
  bool flush() {
    while (!output_.empty()) {
      const ssize_t sent = send(fd_, output_.data(), output_.size(), MSG_NOSIGNAL);
      if (sent < 0) return fine();
      output_.erase(0, static_cast<size_t>(sent));
    }
    if (finish_) shutdown(fd_, SHUT_WR);
    finish_ = false;
    return true;
  }

  // Hands out what has come; false at FIN or RST.
  template <typename F>
  bool receive(F&& take) {
    char bytes[64 * 1024];
    for (;;) {
      const ssize_t got = recv(fd_, bytes, sizeof(bytes), 0);
      if (got < 0) return fine();
      if (got == 0) return false;
      take(std::string_view(bytes, static_cast<size_t>(got)));
      if (!open()) return true;
    }
  }

  void reset() {
    const linger at_once{1, 0};
    if (setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) < 0) die("SO_LINGER");
    close(fd_);
    fd_ = -1;
  }

 private:
  bool fine() {
    if (errno == EAGAIN || errno == ENOTCONN) return true;
    if (errno != ECONNRESET && errno != EPIPE) die("a connection");
    was_reset_ = true;
    return false;
  }

  int fd_;
  bool finish_ = false;
  bool was_reset_ = false;
  std::string output_;
};

// "Name: number" of a head.
inline size_t length_in(std::string_view head) {
  static constexpr std::string_view kName = "content-length: ";
  const size_t at = head.find(kName);
  if (at == std::string_view::npos) return 0;
  const size_t from = at + kName.size();
  return to_number(head.substr(from, head.find('\r', from) - from), "length");
}

// How long the message is whose head, with its empty line, is so long; 0 if more has to come to tell.
inline size_t length_of(std::string_view text, size_t head) {
  static constexpr std::string_view kLast = "0\r\n\r\n";
  if (text.substr(0, head).find("\r\ntransfer-encoding: ") == text.npos)
    return head + length_in(text.substr(0, head));
  const size_t last = text.find(kLast, head);
  return last == text.npos ? 0 : last + kLast.size();
}

inline std::string message(std::string_view start, size_t length) {
  return std::string(start) + "\r\ncontent-length: " + std::to_string(length) + "\r\n\r\n" +
         std::string(length, 'x');
}

}  // namespace churn

#endif
