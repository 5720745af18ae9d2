// The client of the packet tests: sends one request for each target on one connection, verifies what comes back, ends
// the connection as it is told, and reports it as a line of JSON.
//
//   peer_client ADDRESS PORT [OPTION VALUE]... TARGET...
//
//   --tunnel 0                                   plain HTTP. Without it the requests and their responses go through a
//                                                tunnel, which an exchange before them opens; reports do not count it
//   --rcvbuf N, --sndbuf N, --mss N, --clamp N, --probe N   options of the socket
//   --read PACE, --write PACE                    how fast it reads and writes (peer.h)
//   --split MS        a request's body follows its head after a pause, instead of together with it
//   --end HOW         client: FIN after the last response (default); server: waits for the server's FIN;
//                     half: FIN behind the last request; reset: RST after the last response
//   --reset-received N, --reset-sent N           RST after so many bytes of a body
//   --pipeline 1      does not wait for responses before it sends requests
//   --pause MS        between a response and the next request
//   --hold MS         keeps the connection idle that long before it ends it
//   --connections N   that many at once, each one as above
//   --isn N           initial sequence number
//   --bind-port N     local port
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>

#include "peer.h"

namespace {

using namespace peer;

// Of linux/tcp.h, which does not go together with netinet/tcp.h.
constexpr int kRepair = 19;
constexpr int kRepairQueue = 20;
constexpr int kQueueSequence = 21;
constexpr int kSendQueue = 2;
constexpr int kRepairOffSilently = -1;

struct Order {
  SocketOptions socket;
  Pace read;
  Pace write;
  unsigned split_ms = 0;
  unsigned pause_ms = 0;
  unsigned hold_ms = 0;
  std::string end = "client";
  std::optional<uint64_t> reset_received;
  std::optional<uint64_t> reset_sent;
  std::optional<uint32_t> isn;
  uint16_t local_port = 0;
  bool pipeline = false;
  bool tunnel = true;
  uint64_t connections = 1;
  std::vector<std::string> targets;

  void take(std::string_view name, const char* value) {
    if (socket.take(name, value)) return;
    if (name == "--read") {
      read = Pace::parse(value);
    } else if (name == "--write") {
      write = Pace::parse(value);
    } else if (name == "--end") {
      end = value;
    } else {
      take_number(name, to_number(value, "option"));
    }
  }

 private:
  void take_number(std::string_view name, uint64_t number) {
    if (name == "--split")
      split_ms = static_cast<unsigned>(number);
    else if (name == "--pause")
      pause_ms = static_cast<unsigned>(number);
    else if (name == "--hold")
      hold_ms = static_cast<unsigned>(number);
    else if (name == "--reset-received")
      reset_received = number;
    else if (name == "--reset-sent")
      reset_sent = number;
    else if (name == "--isn")
      isn = static_cast<uint32_t>(number);
    else if (name == "--bind-port")
      local_port = static_cast<uint16_t>(number);
    else if (name == "--pipeline")
      pipeline = number != 0;
    else if (name == "--tunnel")
      tunnel = number != 0;
    else if (name == "--connections")
      connections = number;
    else
      die("option " + std::string(name));
  }
};

void set_sequence(int fd, uint32_t isn) {
  const auto set = [fd](int option, int value, const char* what) {
    if (setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value)) < 0) die(what);
  };
  set(kRepair, 1, "TCP_REPAIR");
  set(kRepairQueue, kSendQueue, "TCP_REPAIR_QUEUE");
  set(kQueueSequence, static_cast<int>(isn), "TCP_QUEUE_SEQ");
  set(kRepair, kRepairOffSilently, "TCP_REPAIR off");
}

int connect_to(const Endpoint& endpoint, const Order& order) {
  const int fd = socket(endpoint.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  order.socket.apply(fd);
  if (order.local_port != 0)
    Endpoint(endpoint.family() == AF_INET ? "0.0.0.0" : "::", order.local_port).bind(fd);
  if (order.isn) set_sequence(fd, *order.isn);
  endpoint.connect(fd);
  return fd;
}

// One connection. Requests are written by a thread of their own, because both bodies may be under way at once.
class Session {
 public:
  Session(int fd, const Order& order) : stream_(fd), order_(order) {
    for (const std::string& target : order.targets) exchanges_.push_back(Exchange::parse(target));
  }

  void run() {
    if (order_.tunnel) open_tunnel();
    if (end_ == End::complete) {
      std::thread writer([this] { write_requests(); });
      read_responses();
      writer.join();
    }
    end_ = stream_.settle(end_);
    retransmissions_ = stream_.retransmissions();
    segment_ = stream_.segment_bytes();
    end_connection();
  }

  void print() const {
    printf(R"({"responses":%u,"received":%llu,"sent":%llu,"wrongAt":%lld,"end":"%s",)", responses_,
           static_cast<unsigned long long>(received_), static_cast<unsigned long long>(sent_),
           wrong_at_ ? static_cast<long long>(*wrong_at_) : -1LL, name_of(end_));
    printf(R"("began":{"sent":%u,"received":%u},)", stream_.began_at().sent, stream_.began_at().received);
    printf("\"retransmissions\":%llu,\"segment\":%llu}\n", static_cast<unsigned long long>(retransmissions_),
           static_cast<unsigned long long>(segment_));
  }

 private:
  void open_tunnel() {
    end_ = stream_.send_text(kOpensTunnel);
    std::string head;
    if (end_ == End::complete) end_ = stream_.read_head(head);
    if (end_ == End::complete && head.rfind("HTTP/1.1 101 ", 0) != 0) end_ = End::failed;
  }

  void write_requests() {
    for (size_t i = 0; i < exchanges_.size(); i++) {
      if (!order_.pipeline && !wait_for_responses(i)) return;
      if (order_.pause_ms != 0) usleep(order_.pause_ms * 1000);
      if (!write_request(order_.targets[i], exchanges_[i])) return;
    }
    if (order_.end == "half") stream_.finish();
  }

  bool write_request(const std::string& target, const Exchange& exchange) {
    std::string head = (exchange.up > 0 ? "POST " : "GET ") + target + " HTTP/1.1\r\nhost: test.example\r\n";
    if (exchange.up > 0) head += "content-length: " + std::to_string(exchange.up) + "\r\n";
    if (stream_.send_text(head + "\r\n", exchange.up > 0 && order_.split_ms == 0) != End::complete)
      return false;
    if (order_.split_ms != 0) usleep(order_.split_ms * 1000);
    const Transfer body =
        stream_.send(exchange.upload(), order_.reset_sent.value_or(exchange.up), order_.write);
    sent_ += body.bytes;
    if (!order_.reset_sent) return body.end == End::complete;
    // The reader finds out by its own error; a socket that somebody still reads from is not closed under it.
    usleep(50'000);
    resets_ = true;
    stream_.reset();
    return false;
  }

  void read_responses() {
    for (const Exchange& exchange : exchanges_) {
      // A reset that follows a part of the request is the writer's, who closes the socket.
      if (order_.reset_sent) return;
      std::string head;
      end_ = stream_.read_head(head);
      if (end_ == End::complete && head.rfind("HTTP/1.1 200 ", 0) != 0) end_ = End::failed;
      if (end_ == End::complete) read_body(exchange);
      announce(end_ == End::complete);
      if (end_ != End::complete || resets_) return;
    }
  }

  void read_body(const Exchange& exchange) {
    const uint64_t size = order_.reset_received.value_or(exchange.down);
    const Transfer body = stream_.receive(exchange.download(), size, order_.read);
    received_ += body.bytes;
    if (!wrong_at_) wrong_at_ = body.wrong_at;
    end_ = body.end;
    if (order_.reset_received && end_ == End::complete) resets_ = true;
  }

  void end_connection() {
    if (order_.reset_sent) return;
    if (end_ != End::complete) return;
    if (order_.hold_ms != 0) usleep(order_.hold_ms * 1000);
    if (resets_ || order_.end == "reset") {
      stream_.reset();
      return;
    }
    if (order_.end == "client") stream_.finish();
    end_ = stream_.read_end();
  }

  bool wait_for_responses(size_t count) {
    std::unique_lock lock(mutex_);
    progress_.wait(lock, [&] { return responses_ >= count || failed_; });
    return !failed_;
  }

  void announce(bool complete) {
    const std::lock_guard lock(mutex_);
    if (complete) responses_++;
    failed_ = !complete || resets_;
    progress_.notify_all();
  }

  Stream stream_;
  const Order& order_;
  std::vector<Exchange> exchanges_;
  uint64_t received_ = 0;
  uint64_t sent_ = 0;
  uint64_t retransmissions_ = 0;
  uint64_t segment_ = 0;
  std::optional<uint64_t> wrong_at_;
  End end_ = End::complete;
  bool resets_ = false;

  std::mutex mutex_;
  std::condition_variable progress_;
  unsigned responses_ = 0;
  bool failed_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) die("peer_client ADDRESS PORT [OPTION VALUE]... TARGET...");
  signal(SIGPIPE, SIG_IGN);
  Order order;
  for (int i = 3; i < argc; i++) {
    const std::string_view argument = argv[i];
    if (argument.rfind("--", 0) != 0)
      order.targets.emplace_back(argument);
    else if (i + 1 < argc)
      order.take(argument, argv[++i]);
    else
      die("value of " + std::string(argument));
  }
  const Endpoint endpoint(argv[1], static_cast<uint16_t>(to_number(argv[2], "port")));
  std::vector<std::unique_ptr<Session>> sessions;
  for (uint64_t i = 0; i < order.connections; i++)
    sessions.push_back(std::make_unique<Session>(connect_to(endpoint, order), order));
  std::vector<std::thread> threads;
  for (const auto& session : sessions) threads.emplace_back([&session] { session->run(); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& session : sessions) session->print();
}
