#include "self_test.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <utility>
#include <vector>

#include "../../core/stream.h"
#include "sockmap_engine.h"

namespace longsplice::sockmap {

namespace {

// Without a byte that moves. On a busy machine all of them together can take longer.
constexpr uint64_t kPatienceMs = 10'000;
constexpr uint32_t kKilobyte = 1024;

struct Case {
  uint32_t body;
  uint32_t step;  // the most that is written or read at a time
  int buffer;     // of the sink and its reader; 0: as the kernel likes
  bool queued;    // all that fits is in the source's queue before anybody looks
  bool slow;      // the reader sleeps in between
};

constexpr std::array kCases{
    Case{200 * kKilobyte, 64 * kKilobyte, 0, false, false},
    Case{64 * kKilobyte, 9 * kKilobyte, 8 * kKilobyte, false, true},
    Case{96 * kKilobyte, 700, 8 * kKilobyte, false, false},
    Case{150 * kKilobyte, 50 * kKilobyte, 16 * kKilobyte, true, true},
    Case{24 * kKilobyte, 5 * kKilobyte, 0, true, false},
};

// Each way, and the first way once more.
constexpr int kTurns = 3;

uint64_t now_ms() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000 + static_cast<uint64_t>(t.tv_nsec) / 1'000'000;
}

// Two ends of a connection on loopback; neither has a descriptor when that is not to be had.
struct Connection {
  Fd outer;
  Fd inner;
};

void size_buffers(int fd, int bytes) {
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

Connection connect_pair(int buffer) {
  const int kind = SOCK_STREAM | SOCK_CLOEXEC;
  const Fd listener(socket(AF_INET, kind, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  Connection pair{Fd(socket(AF_INET, kind, 0)), Fd()};
  if (!listener || !pair.outer || ::bind(listener.get(), name, length) != 0 ||
      ::listen(listener.get(), 1) != 0 || getsockname(listener.get(), name, &length) != 0) {
    return {};
  }
  if (buffer != 0) {
    size_buffers(listener.get(), buffer);
    size_buffers(pair.outer.get(), buffer);
  }
  if (::connect(pair.outer.get(), name, length) != 0) return {};
  pair.inner = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  const int one = 1;
  for (const int fd : {pair.outer.get(), pair.inner.get()}) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  return pair;
}

// What a writer sends and a reader must get: from the place alone follows which byte it is.
char byte_at(uint32_t seed, size_t place) {
  uint64_t mixed = (uint64_t{seed} << 32 | place) * 0x9E3779B97F4A7C15u;
  mixed ^= mixed >> 29;
  return static_cast<char>((mixed * 0xBF58476D1CE4E5B9u) >> 56);
}

class Transfer {
 public:
  Transfer(const Case& plan, uint32_t seed, SockmapEngine& engine)
      : plan_(plan),
        random_(seed),
        engine_(engine),
        bytes_(plan.body - random_() % (plan.body / 4) + kTrailer) {
    for (size_t place = 0; place < bytes_.size(); place++) bytes_[place] = byte_at(seed, place);
  }

  uint64_t redirected = 0;

  // Moves a body from `writer` through `source` and `sink` to `reader`; what follows it stays at `source`.
  std::string run(int writer, Stream& source, Stream& sink, int reader) {
    Passage passage;
    passage.remaining = bytes_.size() - kTrailer;
    uint64_t moved = now_ms();
    while (plan_.queued && write_some(writer)) {
    }
    if (plan_.queued && !read_ahead(source, sink, passage)) return "a connection broke";
    for (;;) {
      const bool wrote = write_some(writer);
      for (Stream* stream : {&source, &sink}) stream->note_events(EPOLLIN | EPOLLOUT);
      MoveResult result = MoveResult::done;
      if (passage.remaining > 0 || passage.handoff) result = engine_.move(source, sink, passage);
      if (result != MoveResult::done) {
        if (result >= MoveResult::source_closed) return "a connection broke";
      } else if (!sink.flush_now() || !read_trailer(source)) {
        return "what follows a body is not what was sent";
      }
      const bool idle = !read_some(reader) && !wrote;
      if (wrong_) return "a byte of a body is lost, doubled or out of order";
      if (arrived_ + kTrailer == bytes_.size() && trailer_ == kTrailer) break;
      if (!idle) {
        moved = now_ms();
      } else {
        if (now_ms() > moved + kPatienceMs) return "bytes of a body do not arrive";
        ::poll(nullptr, 0, 1);
      }
    }
    redirected = passage.moved.redirected;
    return "";
  }

 private:
  static constexpr size_t kTrailer = 100;

  size_t some() { return 1 + random_() % plan_.step; }

  bool write_some(int fd) {
    const size_t count = std::min(some(), bytes_.size() - written_);
    const ssize_t sent =
        count > 0 ? ::send(fd, bytes_.data() + written_, count, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (sent > 0) written_ += static_cast<size_t>(sent);
    return sent > 0;
  }

  // A packet of the queue is read to its middle.
  bool read_ahead(Stream& source, Stream& sink, Passage& passage) {
    std::vector<char> room(bytes_.size() / 3);
    size_t got = 0;
    source.note_events(EPOLLIN);
    if (source.receive(room.data(), room.size(), got) != Stream::Read::data) return false;
    passage.remaining -= got;
    const iovec piece{room.data(), got};
    return sink.send({&piece, 1});
  }

  bool read_some(int fd) {
    if (plan_.slow && random_() % 4 != 0) return false;
    std::vector<char> room(some());
    const ssize_t count = ::recv(fd, room.data(), room.size(), MSG_DONTWAIT);
    if (count <= 0) return false;
    const auto got = static_cast<size_t>(count);
    wrong_ = arrived_ + got > bytes_.size() - kTrailer ||
             !std::equal(room.data(), room.data() + got, &bytes_[arrived_]);
    arrived_ += got;
    return true;
  }

  bool read_trailer(Stream& source) {
    std::array<char, kTrailer + 1> room;
    size_t got = 0;
    if (source.receive(room.data(), room.size(), got) != Stream::Read::data) return true;
    const char* expected = bytes_.data() + bytes_.size() - kTrailer + trailer_;
    trailer_ += got;
    return trailer_ <= kTrailer && std::equal(room.data(), room.data() + got, expected);
  }

  const Case& plan_;
  std::minstd_rand random_;
  SockmapEngine& engine_;
  std::vector<char> bytes_;
  size_t written_ = 0;
  size_t arrived_ = 0;
  size_t trailer_ = 0;
  bool wrong_ = false;
};

std::string run_case(const Case& plan, uint32_t seed, SockmapEngine& engine, uint64_t& redirected) {
  Connection client = connect_pair(plan.buffer);
  Connection backend = connect_pair(0);
  if (!client.inner || !backend.inner) return "no connection on loopback can be made";
  HeldStreams held;
  Stream here;
  Stream there;
  here.attach(std::move(client.inner), held);
  there.attach(std::move(backend.inner), held);
  std::string problem;
  for (int turn = 0; turn < kTurns && problem.empty(); turn++) {
    Transfer transfer(plan, seed + static_cast<uint32_t>(turn), engine);
    problem = turn % 2 == 0 ? transfer.run(backend.outer.get(), there, here, client.outer.get())
                            : transfer.run(client.outer.get(), here, there, backend.outer.get());
    redirected += transfer.redirected;
    if (problem.empty() && !there.let_go()) problem = "a socket is not to be had back";
  }
  return problem;
}

}  // namespace

std::string self_test(const std::shared_ptr<Kernel>& kernel, std::unique_ptr<Engine> lesser) {
  SockmapEngine engine(4 * kKilobyte, 1024 * kKilobyte, kernel, std::move(lesser));
  std::random_device entropy;
  uint64_t redirected = 0;
  for (const Case& plan : kCases) {
    const std::string problem = run_case(plan, entropy(), engine, redirected);
    if (!problem.empty()) return problem;
  }
  return redirected > 0 ? "" : "nothing is redirected";
}

}  // namespace longsplice::sockmap
