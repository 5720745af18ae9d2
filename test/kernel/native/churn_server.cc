// The server of the soak, in one thread: does what the requests say (churn.h). Writes "ready", on SIGUSR1 closes
// all connections, and on SIGTERM writes a line of JSON with what it saw.
//
//   churn_server ADDRESS PORT
#include <csignal>
#include <cstdio>
#include <memory>
#include <unordered_map>

#include "churn.h"

namespace {

using namespace churn;
using peer::Endpoint;

volatile sig_atomic_t stopping = 0;
volatile sig_atomic_t disconnecting = 0;

// A signal that comes just before the poller waits is seen that much later.
constexpr int kSignalMs = 100;

struct ServerCounts {
  unsigned long long accepted = 0, requests = 0, fin = 0, reset = 0;
};

class ServerSide {
 public:
  ServerSide(int fd, ServerCounts& counts) : socket_(fd), counts_(counts) {}

  int fd() const { return socket_.fd(); }

  // False when the connection is over.
  bool step() {
    const bool more = socket_.receive([this](std::string_view bytes) { take(bytes); });
    if (!socket_.open()) return false;
    finished_ |= !more;
    if (!socket_.was_reset() && socket_.flush() && (!finished_ || !socket_.sent_all())) return true;
    (socket_.was_reset() ? counts_.reset : counts_.fin)++;
    return false;
  }

 private:
  void take(std::string_view bytes) {
    input_.append(bytes);
    while (socket_.open()) {
      const size_t end = input_.find("\r\n\r\n");
      if (end == std::string::npos) return;
      const size_t total = end + 4 + length_in(std::string_view(input_).substr(0, end));
      if (peer::opens_tunnel(std::string_view(input_).substr(0, end + 2))) {
        socket_.queue(peer::kTunnelIsOpen);
        input_.erase(0, total);
        continue;
      }
      // "GET /DOWN/ANSWER HTTP/1.1"
      const size_t down_at = input_.find('/') + 1;
      const size_t slash = input_.find('/', down_at);
      const Answer answer{input_[slash + 1]};
      if (input_.size() < total && answer != Answer::reset_body) return;
      counts_.requests++;
      respond(answer, to_number(std::string_view(input_).substr(down_at, slash - down_at), "size"));
      if (socket_.open()) input_.erase(0, total);
    }
  }

  void respond(Answer answer, size_t size) {
    switch (answer) {
      case Answer::never:
        return;
      case Answer::reset_early:
      case Answer::reset_body:
        return socket_.reset();
      case Answer::finish_early:
        return socket_.finish_behind();
      case Answer::chunked:
        return socket_.queue("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nxxxxx\r\n0\r\n\r\n");
      default:
        break;
    }
    const std::string response = message("HTTP/1.1 200 OK", size);
    const bool part = answer == Answer::reset_after || answer == Answer::finish_within;
    socket_.queue(part ? response.substr(0, response.size() / 2) : response);
    if (answer == Answer::finish || answer == Answer::finish_within) socket_.finish_behind();
    if (answer != Answer::reset_after && answer != Answer::reset_idle) return;
    socket_.flush();
    socket_.reset();
  }

  Socket socket_;
  ServerCounts& counts_;
  bool finished_ = false;  // by the other side
  std::string input_;
};

void serve(const Endpoint& endpoint) {
  const int listener = socket(endpoint.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener < 0) die("socket");
  endpoint.bind(listener);
  if (listen(listener, 4096) < 0) die("listen");
  const Poll poll;
  poll.add(listener, nullptr);
  ServerCounts counts;
  std::unordered_map<void*, std::unique_ptr<ServerSide>> open;
  puts("ready");
  fflush(stdout);
  while (!stopping) {
    if (disconnecting) {
      disconnecting = 0;
      open.clear();
    }
    poll.wait(kSignalMs, [&](void* owner) {
      auto* side = static_cast<ServerSide*>(owner);
      if (side != nullptr) {
        if (!side->step()) open.erase(side);
        return;
      }
      for (int fd; (fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
        counts.accepted++;
        auto accepted = std::make_unique<ServerSide>(fd, counts);
        poll.add(fd, accepted.get());
        open.emplace(accepted.get(), std::move(accepted));
      }
    });
  }
  printf(R"({"accepted":%llu,"requests":%llu,"fin":%llu,"reset":%llu,"open":%llu})"
         "\n",
         counts.accepted, counts.requests, counts.fin, counts.reset,
         static_cast<unsigned long long>(open.size()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) die("churn_server ADDRESS PORT");
  struct sigaction stop {};
  stop.sa_handler = [](int) { stopping = 1; };
  sigaction(SIGTERM, &stop, nullptr);
  struct sigaction disconnect {};
  disconnect.sa_handler = [](int) { disconnecting = 1; };
  sigaction(SIGUSR1, &disconnect, nullptr);
  serve(Endpoint(argv[1], static_cast<uint16_t>(to_number(argv[2], "port"))));
}
