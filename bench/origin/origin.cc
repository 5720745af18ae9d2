// The origin of the bench: an HTTP/1.1 server that costs as little as possible, so that what is measured is the
// proxy before it. `GET /N` answers N bytes, and so does every path that ends with `/N`; after the answer to `GET /N?close`
// it closes the connection.
//
//   origin [--threads N] ADDRESS:PORT...
//
// Each thread has its own sockets (SO_REUSEPORT) and its own epoll. Writes "ready" when all of them accept, and runs
// until a signal ends it. A request body needs a Content-Length; chunked ones are refused with 411.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "../../native/core/fd.h"

namespace {

using longsplice::Fd;

constexpr size_t kHeadLimit = 16 * 1024;
constexpr size_t kPatternBytes = 1024 * 1024;
constexpr uint64_t kBodyLimit = uint64_t{1} << 32;
constexpr int kBacklog = 4096;
constexpr int kEventsPerTurn = 128;
// A long body gives way to the other connections of the thread after so many writes.
constexpr int kWritesPerTurn = 16;

// What bodies are made of; longer ones repeat it.
const std::string& pattern() {
  static const std::string bytes = [] {
    static constexpr std::string_view kLine = "longsplice bench origin ........\n";
    std::string text;
    text.reserve(kPatternBytes + kLine.size());
    while (text.size() < kPatternBytes) text += kLine;
    text.resize(kPatternBytes);
    return text;
  }();
  return bytes;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

struct Request {
  int refusal = 0;  // status to refuse it with; the connection ends then
  bool head = false;
  bool close = false;
  std::string_view path;
  uint64_t body_bytes = 0;
};

void read_field(std::string_view line, Request& request) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) {
    request.refusal = 400;
    return;
  }
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (equals_ignoring_case(name, "connection")) {
    if (equals_ignoring_case(value, "close")) request.close = true;
    if (equals_ignoring_case(value, "keep-alive")) request.close = false;
  } else if (equals_ignoring_case(name, "content-length")) {
    const auto length = parse_number(value);
    if (!length) request.refusal = 400;
    request.body_bytes = length.value_or(0);
  } else if (equals_ignoring_case(name, "transfer-encoding")) {
    request.refusal = 411;
  }
}

// `head` is a whole request head without the empty line at its end.
Request parse_head(std::string_view head) {
  Request request;
  size_t end = std::min(head.find("\r\n"), head.size());
  const std::string_view line = head.substr(0, end);
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    request.refusal = 400;
    return request;
  }
  request.head = line.substr(0, first) == "HEAD";
  request.path = line.substr(first + 1, last - first - 1);
  request.close = line.substr(last + 1) != "HTTP/1.1";
  while (end < head.size()) {
    const size_t begin = end + 2;
    end = std::min(head.find("\r\n", begin), head.size());
    read_field(head.substr(begin, end - begin), request);
  }
  return request;
}

const char* reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 404:
      return "Not Found";
    case 411:
      return "Length Required";
    case 431:
      return "Request Header Fields Too Large";
    default:
      return "Bad Request";
  }
}

// One client. Strictly in turn: a request is looked at when the answer to the one before is on its way entirely.
class Connection {
 public:
  Connection(Fd fd, int epoll) : fd_(std::move(fd)), epoll_(epoll) {}

  bool start() {
    const int one = 1;
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return watch(EPOLL_CTL_ADD, EPOLLIN);
  }

  // Goes on as far as it can without waiting; false when the connection is over.
  bool on_event() {
    if (answering_ && !write_answer()) return false;
    if (!answering_ && !read_input()) return false;
    while (!answering_ && take_request()) {
      if (answering_ && !write_answer()) return false;
    }
    const uint32_t wanted = answering_ ? EPOLLOUT : EPOLLIN;
    return wanted == watched_ || watch(EPOLL_CTL_MOD, wanted);
  }

 private:
  bool watch(int operation, uint32_t events) {
    epoll_event event{};
    event.events = watched_ = events;
    event.data.ptr = this;
    return epoll_ctl(epoll_, operation, fd_.get(), &event) == 0;
  }

  bool read_input() {
    static thread_local std::array<char, 64 * 1024> buffer;
    const ssize_t got = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    input_.append(buffer.data(), static_cast<size_t>(got));
    return got > 0;
  }

  // Takes the next step that the input allows; false when it needs more of it.
  bool take_request() {
    if (body_missing_ > 0) return skip_body();
    if (pending_) {
      pending_ = false;
      answer(status_);
      return true;
    }
    const size_t end = input_.find("\r\n\r\n");
    if (end == std::string::npos && input_.size() <= kHeadLimit) return false;
    Request request;
    if (end == std::string::npos || end > kHeadLimit) {
      request.refusal = 431;
    } else {
      request = parse_head(std::string_view(input_).substr(0, end));
    }
    accept(request);
    input_.erase(0, end == std::string::npos ? input_.size() : end + 4);
    return true;
  }

  void accept(const Request& request) {
    close_after_ = request.close || request.refusal != 0;
    without_body_ = request.head;
    body_missing_ = request.refusal != 0 ? 0 : request.body_bytes;
    size_ = 0;
    status_ = request.refusal;
    if (request.refusal == 0) {
      const size_t query = std::min(request.path.find('?'), request.path.size());
      const std::string_view path = request.path.substr(0, query);
      if (request.path.substr(query) == "?close") close_after_ = true;
      const size_t slash = path.rfind('/');
      const auto size = slash == std::string_view::npos ? std::nullopt : parse_number(path.substr(slash + 1));
      status_ = size && *size <= kBodyLimit ? 200 : 404;
      if (status_ == 200) size_ = *size;
    }
    pending_ = true;
  }

  bool skip_body() {
    const size_t taken = std::min<uint64_t>(body_missing_, input_.size());
    input_.erase(0, taken);
    body_missing_ -= taken;
    return body_missing_ == 0;
  }

  void answer(int status) {
    char head[192];
    const int length = snprintf(head, sizeof head,
                                "HTTP/1.1 %d %s\r\nContent-Type: application/octet-stream\r\n"
                                "Content-Length: %llu\r\n%s\r\n",
                                status, reason(status), static_cast<unsigned long long>(size_),
                                close_after_ ? "Connection: close\r\n" : "");
    head_.assign(head, static_cast<size_t>(length));
    head_sent_ = 0;
    body_sent_ = without_body_ ? size_ : 0;
    answering_ = true;
  }

  // False when the connection is over: it broke, or the last answer is out.
  bool write_answer() {
    for (int i = 0; i < kWritesPerTurn; i++) {
      const size_t offset = body_sent_ % kPatternBytes;
      const size_t body = std::min<uint64_t>(size_ - body_sent_, kPatternBytes - offset);
      const size_t head = head_.size() - head_sent_;
      iovec parts[2] = {{head_.data() + head_sent_, head},
                        {const_cast<char*>(pattern().data()) + offset, body}};
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = body > 0 ? 2 : 1;
      const ssize_t sent = sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN || errno == EINTR;
      const size_t of_head = std::min(head, static_cast<size_t>(sent));
      head_sent_ += of_head;
      body_sent_ += static_cast<size_t>(sent) - of_head;
      if (head_sent_ == head_.size() && body_sent_ == size_) {
        answering_ = false;
        return !close_after_;
      }
    }
    return true;
  }

  Fd fd_;
  int epoll_;
  uint32_t watched_ = 0;
  std::string input_;
  uint64_t body_missing_ = 0;
  bool pending_ = false;  // a request was accepted, its answer waits for the end of its body
  int status_ = 0;
  bool answering_ = false;
  bool close_after_ = false;
  bool without_body_ = false;
  uint64_t size_ = 0;
  std::string head_;
  size_t head_sent_ = 0;
  uint64_t body_sent_ = 0;
};

// Takes one waiting client, if there is one.
void accept_client(int listener, int epoll) {
  Fd fd(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    // The listener stays readable; without a pause the thread would spin until a connection ends.
    if (errno == EMFILE || errno == ENFILE) usleep(10'000);
    return;
  }
  auto connection = std::make_unique<Connection>(std::move(fd), epoll);
  // From here on epoll refers to it; `serve` deletes it when it is over.
  if (connection->start()) static_cast<void>(connection.release());
}

// Runs one thread's part until the process ends.
void serve(const std::vector<Fd>& listeners) {
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  std::vector<const Fd*> own;
  for (const Fd& listener : listeners) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = const_cast<Fd*>(&listener);
    if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, listener.get(), &event) != 0) {
      perror("origin: epoll_ctl");
      exit(2);
    }
    own.push_back(&listener);
  }
  std::array<epoll_event, kEventsPerTurn> events;
  for (;;) {
    const int count = epoll_wait(epoll.get(), events.data(), events.size(), -1);
    for (int i = 0; i < count; i++) {
      void* target = events[static_cast<size_t>(i)].data.ptr;
      const auto listener = std::find(own.begin(), own.end(), target);
      if (listener != own.end()) {
        accept_client((*listener)->get(), epoll.get());
      } else if (auto* connection = static_cast<Connection*>(target); !connection->on_event()) {
        delete connection;
      }
    }
  }
}

// Empty on failure, with errno set.
Fd open_listener(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in where{};
  where.sin_family = AF_INET;
  const auto port =
      colon == std::string::npos ? std::nullopt : parse_number(std::string_view(address).substr(colon + 1));
  if (!port || *port > 65535 || inet_pton(AF_INET, address.substr(0, colon).c_str(), &where.sin_addr) != 1) {
    errno = EINVAL;
    return {};
  }
  where.sin_port = htons(static_cast<uint16_t>(*port));
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) return {};
  if (listen(fd.get(), kBacklog) != 0) return {};
  return fd;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int usage() {
  fputs("usage: origin [--threads N] ADDRESS:PORT...\n", stderr);
  return 1;
}

}  // namespace

int main(int count, char** values) {
  std::vector<std::string> addresses(values + 1, values + count);
  uint64_t threads = 1;
  if (!addresses.empty() && addresses[0] == "--threads") {
    threads = addresses.size() > 1 ? parse_number(addresses[1]).value_or(0) : 0;
    if (threads < 1 || threads > 256) return usage();
    addresses.erase(addresses.begin(), addresses.begin() + 2);
  }
  if (addresses.empty()) return usage();
  raise_descriptor_limit();
  pattern();
  std::vector<std::vector<Fd>> listeners(threads);
  for (std::vector<Fd>& own : listeners) {
    for (const std::string& address : addresses) {
      own.push_back(open_listener(address));
      if (own.back()) continue;
      fprintf(stderr, "origin: cannot listen on %s: %s\n", address.c_str(), strerror(errno));
      return 2;
    }
  }
  std::vector<std::thread> running;
  for (size_t i = 1; i < threads; i++) running.emplace_back(serve, std::cref(listeners[i]));
  puts("ready");
  fflush(stdout);
  serve(listeners[0]);
}
