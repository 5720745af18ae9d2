// Finds local ports with which a connection would begin at a certain number. The kernel takes initial sequence numbers
// from a hash of addresses and ports, plus a clock that counts 64 ns of real time (net/core/secure_seq.c), so what one
// connection of those ports had tells what the next one gets, and when.
//
//   sequences ADDRESS PORT FIRST LAST NUMBER MS
//
// Connects from the ports FIRST to LAST, and aborts each connection. Writes, as a line of JSON, for this end ("sent") and
// the other one ("received") the port whose initial sequence number reaches NUMBER soonest, but not within MS, and the
// time of that: {"sent":{"port":N,"at":UNIX MS},"received":{...}}
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>

#include "peer.h"

namespace {

using peer::die;
using peer::Endpoint;
using peer::Numbers;
using peer::to_number;

uint64_t unix_ns() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

// The port that reaches the wanted number first.
class Earliest {
 public:
  Earliest(uint32_t wanted, uint64_t patience_ns) : wanted_(wanted), patience_ns_(patience_ns) {}

  void consider(uint16_t port, uint32_t number, uint64_t ns) {
    uint64_t wait = uint64_t{wanted_ - number} * 64;
    if (wait < patience_ns_) wait += (uint64_t{1} << 32) * 64;
    if (at_ != 0 && ns + wait >= at_) return;
    at_ = ns + wait;
    port_ = port;
  }

  void print(const char* name, const char* end) const {
    printf(R"("%s":{"port":%u,"at":%llu}%s)", name, port_, static_cast<unsigned long long>(at_ / 1'000'000),
           end);
  }

 private:
  uint32_t wanted_;
  uint64_t patience_ns_;
  uint16_t port_ = 0;
  uint64_t at_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) die("sequences ADDRESS PORT FIRST LAST NUMBER MS");
  const Endpoint endpoint(argv[1], static_cast<uint16_t>(to_number(argv[2], "port")));
  const uint64_t last = to_number(argv[4], "last port");
  const auto wanted = static_cast<uint32_t>(to_number(argv[5], "number"));
  const uint64_t patience_ns = to_number(argv[6], "milliseconds") * 1'000'000;
  Earliest sent(wanted, patience_ns);
  Earliest received(wanted, patience_ns);
  for (uint64_t port = to_number(argv[3], "first port"); port <= last; port++) {
    const int fd = socket(endpoint.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    Endpoint(endpoint.family() == AF_INET ? "0.0.0.0" : "::", static_cast<uint16_t>(port)).bind(fd);
    const uint64_t ns = unix_ns();
    endpoint.connect(fd);
    const Numbers numbers = Numbers::of(fd);
    sent.consider(static_cast<uint16_t>(port), numbers.sent, ns);
    received.consider(static_cast<uint16_t>(port), numbers.received, ns);
    const linger at_once{1, 0};
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) < 0) die("SO_LINGER");
    close(fd);
  }
  putchar('{');
  sent.print("sent", ",");
  received.print("received", "}\n");
}
