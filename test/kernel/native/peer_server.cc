// The backend of the packet tests: an HTTP/1.1 server that does what the target of each request says (peer.h), verifies
// the bodies that it gets, and reports every connection, at its end, as a line of JSON.
//
//   peer_server ADDRESS PORT [--rcvbuf N] [--sndbuf N] [--mss N] [--clamp N] [--probe N]
//
// Writes "ready" when it listens.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <thread>

#include "peer.h"

namespace {

using namespace peer;

struct Report {
  unsigned requests = 0;
  uint64_t received = 0;
  uint64_t sent = 0;
  std::optional<uint64_t> wrong_at;
  End end = End::complete;
};

class Session {
 public:
  explicit Session(int fd) : stream_(fd) {}

  void run() {
    while (report_.end == End::complete) {
      std::string head;
      report_.end = stream_.read_head(head);
      if (report_.end == End::complete) serve(head);
    }
    const uint64_t retransmissions = stream_.retransmissions();
    if (report_.end == End::fin) stream_.finish();
    print(retransmissions);
  }

 private:
  void serve(const std::string& head) {
    if (opens_tunnel(head)) {
      report_.end = stream_.send_text(kTunnelIsOpen);
      return;
    }
    const size_t from = head.find(' ') + 1;
    const Exchange exchange = Exchange::parse(head.substr(from, head.find(' ', from) - from));
    report_.requests++;
    if (!exchange.early) {
      receive(exchange);
      if (report_.end == End::complete) respond(exchange);
      return;
    }
    End responded = End::complete;
    std::thread response([&] { responded = send_response(exchange); });
    receive(exchange);
    response.join();
    if (report_.end == End::complete) report_.end = responded;
    report_.end = stream_.settle(report_.end);
  }

  void respond(const Exchange& exchange) {
    if (!exchange.abort) report_.end = send_response(exchange);
    if (exchange.abort || exchange.reset) reset();
  }

  void receive(const Exchange& exchange) {
    const uint64_t size = exchange.abort.value_or(exchange.up);
    const Transfer body = stream_.receive(exchange.upload(), size, exchange.read);
    report_.received += body.bytes;
    if (!report_.wrong_at) report_.wrong_at = body.wrong_at;
    report_.end = body.end;
  }

  End send_response(const Exchange& exchange) {
    if (exchange.delay_ms != 0) usleep(exchange.delay_ms * 1000);
    const std::string head =
        "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(exchange.down) + "\r\n\r\n";
    const End end = stream_.send_text(head, exchange.down > 0);
    if (end != End::complete) return end;
    const uint64_t size = exchange.reset.value_or(exchange.down);
    const Transfer body = stream_.send(exchange.download(), size, exchange.write);
    report_.sent += body.bytes;
    if (body.end == End::complete && exchange.close) stream_.finish();
    return body.end;
  }

  void reset() {
    // What was sent before shall arrive before it.
    usleep(50'000);
    report_.end = End::reset;
    stream_.reset();
  }

  void print(uint64_t retransmissions) const {
    char line[256];
    const int length = snprintf(
        line, sizeof(line),
        R"({"requests":%u,"received":%llu,"sent":%llu,"wrongAt":%lld,"end":"%s","retransmissions":%llu,)"
        R"("began":{"sent":%u,"received":%u}})"
        "\n",
        report_.requests, static_cast<unsigned long long>(report_.received),
        static_cast<unsigned long long>(report_.sent),
        report_.wrong_at ? static_cast<long long>(*report_.wrong_at) : -1LL, name_of(report_.end),
        static_cast<unsigned long long>(retransmissions), stream_.began_at().sent,
        stream_.began_at().received);
    // In one piece: other connections report as well.
    if (write(STDOUT_FILENO, line, static_cast<size_t>(length)) != length) die("report");
  }

  Stream stream_;
  Report report_;
};

int listen_on(const Endpoint& endpoint, const SocketOptions& options) {
  const int fd = socket(endpoint.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  const int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) die("SO_REUSEADDR");
  options.apply(fd);
  endpoint.bind(fd);
  if (listen(fd, 1024) < 0) die("listen");
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc % 2 == 0) die("peer_server ADDRESS PORT [OPTION VALUE]...");
  signal(SIGPIPE, SIG_IGN);
  SocketOptions options;
  for (int i = 3; i < argc; i += 2) {
    if (!options.take(argv[i], argv[i + 1])) die(std::string("option ") + argv[i]);
  }
  const Endpoint endpoint(argv[1], static_cast<uint16_t>(to_number(argv[2], "port")));
  const int listener = listen_on(endpoint, options);
  puts("ready");
  fflush(stdout);
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0 && errno != ECONNABORTED) die("accept");
    if (fd >= 0) std::thread([fd] { Session(fd).run(); }).detach();
  }
}
