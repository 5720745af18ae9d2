#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace peer {

namespace {

constexpr time_t kPatienceSeconds = 20;
constexpr size_t kHeadLimit = 16 * 1024;

uint64_t word(uint64_t seed, uint64_t index) {
  uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15 + index * 0xd1342543de82ef95;
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93;
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93;
  return x ^ (x >> 32);
}

void set(int fd, int level, int option, int value, const char* name) {
  if (value != 0 && setsockopt(fd, level, option, &value, sizeof(value)) < 0) die(name);
}

// Of linux/tcp.h, which does not go together with netinet/tcp.h.
constexpr int kRepair = 19;
constexpr int kRepairQueue = 20;
constexpr int kQueueSequence = 21;
constexpr int kReceiveQueue = 1;
constexpr int kSendQueue = 2;
constexpr int kRepairOffSilently = -1;

uint32_t next_number(int fd, int queue) {
  set(fd, IPPROTO_TCP, kRepairQueue, queue, "TCP_REPAIR_QUEUE");
  uint32_t number = 0;
  socklen_t length = sizeof(number);
  if (getsockopt(fd, IPPROTO_TCP, kQueueSequence, &number, &length) < 0) die("TCP_QUEUE_SEQ");
  return number;
}

tcp_info info_of(int fd) {
  tcp_info info{};
  socklen_t length = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) die("TCP_INFO");
  return info;
}

void pause_for(const Pace& pace) {
  if (pace.pause_us != 0) usleep(pace.pause_us);
}

}  // namespace

void die(const std::string& what) {
  fprintf(stderr, "%s: %s\n", what.c_str(), errno == 0 ? "wrong" : strerror(errno));
  exit(1);
}

uint64_t to_number(std::string_view text, const char* what) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  errno = 0;
  if (error != std::errc() || end != text.data() + text.size())
    die(std::string(what) + " " + std::string(text));
  return number;
}

void Content::fill(uint64_t offset, char* out, size_t size) const {
  while (size > 0) {
    const uint64_t value = word(seed_, offset / 8);
    const size_t skip = offset % 8;
    const size_t part = std::min(size, 8 - skip);
    if (part == 8)
      memcpy(out, &value, 8);
    else
      memcpy(out, reinterpret_cast<const char*>(&value) + skip, part);
    out += part;
    offset += part;
    size -= part;
  }
}

std::optional<uint64_t> Content::first_wrong(uint64_t offset, const char* bytes, size_t size) const {
  std::vector<char> expected(size);
  fill(offset, expected.data(), size);
  const auto [wrong, right] = std::mismatch(bytes, bytes + size, expected.begin());
  if (wrong == bytes + size) return std::nullopt;
  return offset + static_cast<uint64_t>(wrong - bytes);
}

Pace Pace::parse(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) die("a pace is CHUNK:MICROSECONDS");
  return {to_number(text.substr(0, colon), "chunk"),
          static_cast<unsigned>(to_number(text.substr(colon + 1), "pause"))};
}

const char* name_of(End end) {
  static constexpr const char* kNames[] = {"complete", "fin", "reset", "timeout", "failed"};
  return kNames[static_cast<int>(end)];
}

Exchange Exchange::parse(std::string_view target) {
  Exchange exchange;
  size_t at = target.find('?');
  while (at != std::string_view::npos) {
    const size_t end = target.find('&', at + 1);
    const std::string_view pair = target.substr(at + 1, end == std::string_view::npos ? end : end - at - 1);
    const size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view name = pair.substr(0, equals);
    const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
    if (name == "up") exchange.up = to_number(value, "up");
    if (name == "down") exchange.down = to_number(value, "down");
    if (name == "seed") exchange.seed = to_number(value, "seed");
    if (name == "early") exchange.early = true;
    if (name == "close") exchange.close = true;
    if (name == "delay") exchange.delay_ms = static_cast<unsigned>(to_number(value, "delay"));
    if (name == "reset") exchange.reset = to_number(value, "reset");
    if (name == "abort") exchange.abort = to_number(value, "abort");
    if (name == "read") exchange.read = Pace::parse(value);
    if (name == "write") exchange.write = Pace::parse(value);
    at = end;
  }
  return exchange;
}

bool SocketOptions::take(std::string_view name, std::string_view value) {
  int* const option = name == "--rcvbuf"   ? &receive_buffer
                      : name == "--sndbuf" ? &send_buffer
                      : name == "--mss"    ? &segment
                      : name == "--clamp"  ? &window_clamp
                      : name == "--probe"  ? &probe_seconds
                                           : nullptr;
  if (option != nullptr) *option = static_cast<int>(to_number(value, "a socket option"));
  return option != nullptr;
}

void SocketOptions::apply(int fd) const {
  set(fd, SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer, "SO_RCVBUFFORCE");
  set(fd, SOL_SOCKET, SO_SNDBUFFORCE, send_buffer, "SO_SNDBUFFORCE");
  set(fd, IPPROTO_TCP, TCP_MAXSEG, segment, "TCP_MAXSEG");
  set(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, window_clamp, "TCP_WINDOW_CLAMP");
  set(fd, SOL_SOCKET, SO_KEEPALIVE, probe_seconds, "SO_KEEPALIVE");
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, probe_seconds, "TCP_KEEPIDLE");
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, probe_seconds, "TCP_KEEPINTVL");
}

Numbers Numbers::of(int fd) {
  set(fd, IPPROTO_TCP, kRepair, 1, "TCP_REPAIR");
  Numbers numbers;
  numbers.sent = next_number(fd, kSendQueue);
  numbers.received = next_number(fd, kReceiveQueue);
  set(fd, IPPROTO_TCP, kRepair, kRepairOffSilently, "TCP_REPAIR off");
  return numbers;
}

Endpoint::Endpoint(const std::string& address, uint16_t port) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
    family_ = v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    const auto* bytes = reinterpret_cast<const char*>(&v4);
    bytes_.assign(bytes, bytes + sizeof(v4));
  } else if (inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1) {
    family_ = v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    const auto* bytes = reinterpret_cast<const char*>(&v6);
    bytes_.assign(bytes, bytes + sizeof(v6));
  } else {
    die("address " + address);
  }
}

void Endpoint::connect(int fd) const {
  const auto* address = reinterpret_cast<const sockaddr*>(bytes_.data());
  if (::connect(fd, address, static_cast<socklen_t>(bytes_.size())) < 0 && errno != EINPROGRESS)
    die("connect");
}

void Endpoint::bind(int fd) const {
  const auto* address = reinterpret_cast<const sockaddr*>(bytes_.data());
  if (::bind(fd, address, static_cast<socklen_t>(bytes_.size())) < 0) die("bind");
}

Stream::Stream(int fd) : fd_(fd), began_at_(Numbers::of(fd)) {
  const timeval patience{kPatienceSeconds, 0};
  if (setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0) die("SO_RCVTIMEO");
  if (setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0) die("SO_SNDTIMEO");
  set(fd_, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
}

Stream::~Stream() {
  if (fd_ >= 0) close(fd_);
}

End Stream::end_of_errno() {
  switch (errno) {
    case ECONNRESET:
    case EPIPE:
      was_reset_ = true;
      return End::reset;
    case EAGAIN:
      return End::timeout;
    default:
      return End::failed;
  }
}

End Stream::fill() {
  char bytes[4096];
  const ssize_t got = recv(fd_, bytes, sizeof(bytes), 0);
  if (got < 0) return end_of_errno();
  if (got == 0) return End::fin;
  buffer_.append(bytes, static_cast<size_t>(got));
  return End::complete;
}

End Stream::read_head(std::string& head) {
  for (;;) {
    const size_t end = buffer_.find("\r\n\r\n");
    if (end != std::string::npos) {
      head = buffer_.substr(0, end + 4);
      buffer_.erase(0, end + 4);
      return End::complete;
    }
    if (buffer_.size() > kHeadLimit) return End::failed;
    const End got = fill();
    if (got != End::complete) return got == End::fin && !buffer_.empty() ? End::failed : got;
  }
}

Transfer Stream::receive(const Content& content, uint64_t size, Pace pace) {
  Transfer transfer;
  std::vector<char> chunk(pace.chunk);
  while (transfer.bytes < size) {
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(size - transfer.bytes, chunk.size()));
    size_t got = std::min(wanted, buffer_.size());
    if (got > 0) {
      memcpy(chunk.data(), buffer_.data(), got);
      buffer_.erase(0, got);
    } else {
      const ssize_t read = recv(fd_, chunk.data(), wanted, 0);
      if (read <= 0) {
        transfer.end = read == 0 ? End::fin : end_of_errno();
        return transfer;
      }
      got = static_cast<size_t>(read);
    }
    if (!transfer.wrong_at) transfer.wrong_at = content.first_wrong(transfer.bytes, chunk.data(), got);
    transfer.bytes += got;
    pause_for(pace);
  }
  return transfer;
}

Transfer Stream::send(const Content& content, uint64_t size, Pace pace) {
  Transfer transfer;
  std::vector<char> chunk(pace.chunk);
  while (transfer.bytes < size) {
    const size_t part = static_cast<size_t>(std::min<uint64_t>(size - transfer.bytes, chunk.size()));
    content.fill(transfer.bytes, chunk.data(), part);
    for (size_t sent = 0; sent < part;) {
      const ssize_t wrote = ::send(fd_, chunk.data() + sent, part - sent, MSG_NOSIGNAL);
      if (wrote < 0) {
        transfer.end = end_of_errno();
        return transfer;
      }
      sent += static_cast<size_t>(wrote);
      transfer.bytes += static_cast<size_t>(wrote);
    }
    pause_for(pace);
  }
  return transfer;
}

End Stream::send_text(std::string_view text, bool more) {
  while (!text.empty()) {
    const ssize_t wrote = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    if (wrote < 0) return end_of_errno();
    text.remove_prefix(static_cast<size_t>(wrote));
  }
  return End::complete;
}

End Stream::read_end() {
  if (!buffer_.empty()) return End::failed;
  const End end = fill();
  return end == End::complete ? End::failed : end;
}

void Stream::finish() { shutdown(fd_, SHUT_WR); }

void Stream::reset() {
  const linger at_once{1, 0};
  if (setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) < 0) die("SO_LINGER");
  close(fd_);
  fd_ = -1;
}

uint64_t Stream::retransmissions() const { return fd_ < 0 ? 0 : info_of(fd_).tcpi_total_retrans; }

uint64_t Stream::segment_bytes() const { return fd_ < 0 ? 0 : info_of(fd_).tcpi_snd_mss; }

}  // namespace peer
