// The least that a proxy does for a connection: accepts a client, connects to the backend, drops both. What links and
// relays cost is counted from here on.
//
//   accept-connect BACKEND-ADDRESS:PORT CLIENTS SECONDS
//
// Brings its own clients, each in a thread, and writes one line of JSON: connections, seconds, and the CPU seconds of
// the thread that accepts and connects.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../../native/core/fd.h"

namespace {

using longsplice::Fd;

constexpr int kBacklog = 4096;
constexpr int kEventsPerTurn = 128;
constexpr int kTurnMs = 100;

struct Pair {
  Fd client;
  Fd backend;
};

double seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

[[noreturn]] void fail(const char* what) {
  fprintf(stderr, "accept-connect: %s: %s\n", what, strerror(errno));
  exit(2);
}

sockaddr_in parse_address(const std::string& text) {
  sockaddr_in address{};
  const size_t colon = text.rfind(':');
  const int port = colon == std::string::npos ? 0 : atoi(text.c_str() + colon + 1);
  if (port < 1 || port > 65535 || inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    errno = EINVAL;
    fail(text.c_str());
  }
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

void watch(int epoll, int fd, uint32_t events, void* data) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = data;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

// Connects, waits until it is dropped, and begins again, until the process ends.
void run_client(sockaddr_in address) {
  for (;;) {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("a client");
    char byte;
    static_cast<void>(recv(fd.get(), &byte, 1, 0));
  }
}

// Closes with RST: nothing waits in TIME_WAIT, so ports do not run out.
void drop(const Fd& fd) {
  const linger abort{1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
}

void begin_pairs(int listener, int epoll, const sockaddr_in& backend) {
  for (;;) {
    Fd client(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client) return;
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto* address = reinterpret_cast<const sockaddr*>(&backend);
    if (connect(fd.get(), address, sizeof backend) != 0 && errno != EINPROGRESS) fail("connect");
    const int number = fd.get();
    // `end_pair` deletes it, when epoll says that the connection stands.
    watch(epoll, number, EPOLLOUT, new Pair{std::move(client), std::move(fd)});
  }
}

void end_pair(Pair* pair) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(pair->backend.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  errno = error;
  if (error != 0) fail("the backend");
  drop(pair->client);
  drop(pair->backend);
  delete pair;
}

// Returns how many pairs there were.
uint64_t serve(int listener, const sockaddr_in& backend, double until) {
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  watch(epoll.get(), listener, EPOLLIN, nullptr);
  std::array<epoll_event, kEventsPerTurn> events;
  uint64_t pairs = 0;
  while (seconds_of(CLOCK_MONOTONIC) < until) {
    const int count = epoll_wait(epoll.get(), events.data(), kEventsPerTurn, kTurnMs);
    for (int i = 0; i < count; i++) {
      auto* pair = static_cast<Pair*>(events[static_cast<size_t>(i)].data.ptr);
      if (pair == nullptr) {
        begin_pairs(listener, epoll.get(), backend);
      } else {
        end_pair(pair);
        pairs++;
      }
    }
  }
  return pairs;
}

}  // namespace

int main(int count, char** values) {
  const int clients = count == 4 ? atoi(values[2]) : 0;
  const int seconds = count == 4 ? atoi(values[3]) : 0;
  if (clients < 1 || seconds < 1) {
    fputs("usage: accept-connect BACKEND-ADDRESS:PORT CLIENTS SECONDS\n", stderr);
    return 1;
  }
  const sockaddr_in backend = parse_address(values[1]);
  const Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in own{};
  own.sin_family = AF_INET;
  own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof own;
  auto* address = reinterpret_cast<sockaddr*>(&own);
  if (bind(listener.get(), address, length) != 0 || listen(listener.get(), kBacklog) != 0 ||
      getsockname(listener.get(), address, &length) != 0) {
    fail("the listener");
  }
  std::vector<std::thread> running;
  for (int i = 0; i < clients; i++) running.emplace_back(run_client, own);
  const double begin = seconds_of(CLOCK_MONOTONIC);
  const double cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  const uint64_t pairs = serve(listener.get(), backend, begin + seconds);
  printf("{\"connections\":%llu,\"seconds\":%.6f,\"cpuSeconds\":%.6f}\n",
         static_cast<unsigned long long>(pairs), seconds_of(CLOCK_MONOTONIC) - begin,
         seconds_of(CLOCK_THREAD_CPUTIME_ID) - cpu);
  fflush(stdout);
  // The clients wait for good.
  _exit(0);
}
