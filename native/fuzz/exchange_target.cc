// Whole exchanges through a real worker: the input is what a client and the backends send. Whatever that is, backends
// get only requests that the client made, clients get only well-formed responses, and nothing is left behind.
//
// After the two steering bytes comes the client's part, then, each after a 0x1D, what the backend says on its first,
// second, ... connection. There a 0x1E ends what is said to one request; the rest waits for the next.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "../core/worker.h"
#include "../engine/copy/copy_engine.h"
#include "../engine/pipe/pipe_engine.h"
#include "exchange_checks.h"
#include "fuzz.h"

namespace longsplice::fuzz {
namespace {

enum Flag : uint8_t {
  kClientFinishes = 1,  // FIN after its last byte
  kBackendsClose = 2,   // after their last byte
  kBackendsSpeakFirst = 4,
  kClientAborts = 8,  // as soon as the first byte of an answer is there
  kByPipe = 16,       // the pipe engine carries the bodies, whatever their size
};

constexpr uint32_t kBackends = 2;
constexpr int kMaxRounds = 8192;
// Rounds without any progress after which nothing more will come.
constexpr int kQuietRounds = 3;

class FirstCandidate final : public Host {
 public:
  int32_t select(const SelectRequest& request) override {
    return static_cast<int32_t>(request.candidates.front());
  }
  void exchange_done(const ExchangeReport&) override {}
  void access_log(std::string_view) override {}
  void log(LogLevel, std::string_view) override {}
  void drained() override {}
};

std::shared_ptr<Snapshot> make_snapshot(const SocketAddress& backend) {
  auto snapshot = std::make_shared<Snapshot>();
  std::vector<RouteMatch> routes(2);
  routes[0].path_kind = RouteMatch::Path::prefix;
  routes[0].path = "/edited/";
  snapshot->router = Router(std::move(routes));
  snapshot->header_rules.resize(2);
  snapshot->header_rules[0].request.set.push_back({"x-set", Template("{client.address} {host}")});
  snapshot->header_rules[0].request.remove = {"cookie"};
  snapshot->header_rules[0].response.set.push_back({"x-set", Template("{request.id}")});
  snapshot->header_rules[0].response.remove = {"server"};
  snapshot->route_pools = {0, 0};
  snapshot->route_ids = {0, 1};
  snapshot->route_labels = {"/edited/", "*"};
  Pool pool{.name = "pool",
            .policy = 0,
            .backends = {},
            .needed_headers = {},
            .needed_response_headers = {},
            .wants_done = true,
            .retries = {.slot = kBackends, .percent = 100, .least = 100}};
  for (uint32_t slot = 0; slot < kBackends; slot++) pool.backends.push_back({slot, slot, backend, "backend"});
  snapshot->pools.push_back(std::move(pool));
  constexpr uint32_t kNever = 600'000;
  snapshot->timeouts = {kNever, kNever, kNever, kNever, kNever, kNever};
  snapshot->limits = {.header_bytes = 2048, .headers = 24, .connections = 0, .queue = 16};
  ForwardingRules& forwarding = snapshot->forwarding;
  forwarding.active = true;
  forwarding.write_for = forwarding.write_proto = forwarding.write_host = forwarding.write_forwarded = true;
  snapshot->access_log = AccessLogFormat::json;
  return snapshot;
}

SocketAddress socket_path(const std::string& directory, const char* name) {
  const auto address = SocketAddress::from_path(directory + "/" + name);
  require(address.has_value(), "the temporary directory has a short name");
  return *address;
}

// A worker with its listener, and the backends' listener; made once for each engine.
class World {
 public:
  explicit World(std::unique_ptr<Engine> engine) {
    // scripts/fuzz removes it again, also after a crash.
    const char* given = std::getenv("TMPDIR");
    std::string directory = std::string(given != nullptr ? given : "/tmp") + "/world-XXXXXX";
    require(::mkdtemp(directory.data()) != nullptr, "a temporary directory can be made");
    front_ = socket_path(directory, "front");
    const SocketAddress back = socket_path(directory, "back");
    backends_ = open_listener(back, 64);
    for (uint32_t slot = 0; slot < kBackends; slot++) {
      load_[slot * kLoadRowFields + static_cast<uint32_t>(LoadField::eligible)] = 1;
    }
    worker_ = std::make_unique<Worker>(host_, LoadTable(load_.data(), kBackends + 1), std::move(engine),
                                       nullptr, 1);
    worker_->apply(make_snapshot(back));
    worker_->listen(open_listener(front_, 64), "front", {});
  }

  Fd connect() {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    require(::connect(fd.get(), front_.get(), front_.length()) == 0, "the front accepts");
    return fd;
  }
  Fd accept_backend() {
    return Fd(::accept4(backends_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  }
  void turn() { worker_->turn(); }

  bool quiet() const {
    for (uint32_t slot = 0; slot < kBackends; slot++) {
      if (get(slot, LoadField::active) != 0 || get(slot, LoadField::connections) != 0) return false;
    }
    return worker_->listeners().front()->active() == 0;
  }

 private:
  int32_t get(uint32_t slot, LoadField field) const {
    return load_[slot * kLoadRowFields + static_cast<uint32_t>(field)];
  }

  FirstCandidate host_;
  std::array<int32_t, (kBackends + 2) * kLoadRowFields> load_{};
  SocketAddress front_;
  Fd backends_;
  std::unique_ptr<Worker> worker_;
};

World& world_of(uint8_t flags) {
  static World copying(std::make_unique<CopyEngine>());
  static World piping(std::make_unique<PipeEngine>(1, std::make_unique<CopyEngine>()));
  return (flags & kByPipe) != 0 ? piping : copying;
}

// One end of a connection, played by the input.
struct Peer {
  Fd fd;
  std::string received;
  std::vector<std::string_view> answers;  // of a backend: what is said to each request
  std::string_view to_send;
  bool finished = false;  // it will send no more

  // Returns whether there was anything.
  bool receive() {
    if (!fd) return false;
    char buffer[4096];
    const ssize_t count = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (count > 0) {
      received.append(buffer, static_cast<size_t>(count));
    } else if (count == 0 || errno != EAGAIN) {
      fd.reset();
    }
    return count > 0;
  }

  bool send(size_t length) {
    if (!fd || to_send.empty()) return false;
    const std::string_view piece = to_send.substr(0, length);
    const ssize_t count = ::send(fd.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    if (count > 0) to_send.remove_prefix(static_cast<size_t>(count));
    return count > 0;
  }

  // Lets the next answer go when the request that it is for has come.
  void next_answer(bool unasked) {
    if (!to_send.empty() || answers.empty()) return;
    if (!unasked && heads_received() <= answered_) return;
    to_send = answers.front();
    answers.erase(answers.begin());
    answered_++;
  }

  bool said_everything() const { return to_send.empty() && answers.empty(); }

 private:
  size_t heads_received() const {
    size_t count = 0;
    for (size_t at = received.find("\r\n\r\n"); at != std::string::npos;
         at = received.find("\r\n\r\n", at + 4)) {
      count++;
    }
    return count;
  }
  size_t answered_ = 0;
};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

class Play {
 public:
  Play(uint8_t flags, uint8_t seed, std::string_view script)
      : world_(world_of(flags)), flags_(flags), cuts_(seed), parts_(split(script, '\x1d')) {
    client_.fd = world_.connect();
    client_.to_send = parts_.front();
  }

  void run() {
    int quiet = 0;
    for (int round = 0; round < kMaxRounds && quiet < kQuietRounds; round++) quiet = step() ? 0 : quiet + 1;
    check_backends(parts_.front(), received_by_backends());
    check_client(parts_.front(), client_.received);
    end();
  }

 private:
  bool step() {
    bool progress = client_.send(cuts_.next());
    if (client_.fd && client_.to_send.empty() && (flags_ & kClientFinishes) != 0 && !client_.finished) {
      ::shutdown(client_.fd.get(), SHUT_WR);
      progress = client_.finished = true;
    }
    world_.turn();
    progress |= step_backends();
    world_.turn();
    progress |= client_.receive();
    if ((flags_ & kClientAborts) != 0 && !client_.received.empty()) client_.fd.reset();
    return progress;
  }

  bool step_backends() {
    bool progress = accept();
    for (Peer& backend : backends_) {
      progress |= backend.receive();
      backend.next_answer((flags_ & kBackendsSpeakFirst) != 0);
      progress |= backend.send(cuts_.next());
      if (backend.fd && backend.said_everything() && (flags_ & kBackendsClose) != 0) {
        backend.fd.reset();
        progress = true;
      }
    }
    return progress;
  }

  bool accept() {
    Fd fd = world_.accept_backend();
    if (!fd) return false;
    Peer backend;
    backend.fd = std::move(fd);
    const size_t part = backends_.size() + 1;
    if (part < parts_.size()) backend.answers = split(parts_[part], '\x1e');
    backends_.push_back(std::move(backend));
    return true;
  }

  std::vector<std::string_view> received_by_backends() const {
    std::vector<std::string_view> all;
    for (const Peer& backend : backends_) all.push_back(backend.received);
    return all;
  }

  // Everyone leaves; the worker must then hold nothing.
  void end() {
    client_.fd.reset();
    for (Peer& backend : backends_) backend.fd.reset();
    for (int round = 0; round < 64 && !world_.quiet(); round++) {
      world_.turn();
      while (world_.accept_backend()) continue;
    }
    require(world_.quiet(), "when everyone has left, no connection and no exchange is left");
  }

  World& world_;
  uint8_t flags_;
  Cuts cuts_;
  std::vector<std::string_view> parts_;
  Peer client_;
  std::vector<Peer> backends_;
};

}  // namespace

int exchange_target(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  Play(data[0], data[1], {reinterpret_cast<const char*>(data) + 2, size - 2}).run();
  return 0;
}

}  // namespace longsplice::fuzz
