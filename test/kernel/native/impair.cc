// A bad network in a box: relays frames between two interfaces in user space, and loses, doubles and delays TCP segments
// on the way, the same ones in every run with the same seed.
//
//   impair LEFT RIGHT [OPTION VALUE]...
//
//   --seed N
//   --to-right RULES, --to-left RULES   loss=PERCENT,duplicate=PERCENT,reorder=PERCENT,hold=MS: a reordered segment is
//                                       held back that long
//   --drop DIRECTION:KIND:SKIP:COUNT    loses COUNT segments of a kind (ack, data or fin) behind the first SKIP ones;
//                                       DIRECTION is right or left, an ack is a segment with nothing else in it
//
// Segments of a handshake and frames that are not TCP always pass: losing them costs whole seconds and tests nothing of
// a link. Frames keep what the sender left to its card (checksum, segmentation), so large ones stay whole. Writes "ready",
// and on SIGTERM a line of JSON that says what it did.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <queue>
#include <random>

#include "peer.h"

namespace {

using peer::die;
using peer::to_number;
using Clock = std::chrono::steady_clock;
using Frame = std::vector<char>;

constexpr size_t kLongestFrame = 512 * 1024;
constexpr int kSocketBuffer = 64 * 1024 * 1024;
// Of linux/virtio_net.h, which C++ does not take.
constexpr size_t kVirtioHeader = 10;
constexpr int kIgnoreOutgoing = 23;  // PACKET_IGNORE_OUTGOING

enum class Kind { other, handshake, ack, data, fin };

volatile sig_atomic_t stopping = 0;

// Of a frame behind its virtio header.
Kind kind_of(const char* frame, size_t size) {
  ethhdr ethernet{};
  if (size < sizeof(ethernet)) return Kind::other;
  memcpy(&ethernet, frame, sizeof(ethernet));
  size_t at = sizeof(ethernet);
  size_t end = size;
  if (ethernet.h_proto == htons(ETH_P_IP)) {
    iphdr ip{};
    if (size < at + sizeof(ip)) return Kind::other;
    memcpy(&ip, frame + at, sizeof(ip));
    if (ip.protocol != IPPROTO_TCP) return Kind::other;
    // Short frames are padded.
    if (ip.tot_len != 0) end = std::min(end, at + ntohs(ip.tot_len));
    at += ip.ihl * size_t{4};
  } else if (ethernet.h_proto == htons(ETH_P_IPV6)) {
    ip6_hdr ip{};
    if (size < at + sizeof(ip)) return Kind::other;
    memcpy(&ip, frame + at, sizeof(ip));
    if (ip.ip6_nxt != IPPROTO_TCP) return Kind::other;
    at += sizeof(ip);
  } else {
    return Kind::other;
  }
  tcphdr tcp{};
  if (end < at + sizeof(tcp)) return Kind::other;
  memcpy(&tcp, frame + at, sizeof(tcp));
  if (tcp.syn || tcp.rst) return Kind::handshake;
  if (tcp.fin) return Kind::fin;
  return end > at + tcp.doff * size_t{4} ? Kind::data : Kind::ack;
}

struct Targeted {
  Kind kind = Kind::other;
  uint64_t skip = 0;
  uint64_t count = 0;
};

struct Rules {
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;
  unsigned hold_ms = 5;
  std::vector<Targeted> targeted;

  void parse(std::string_view text) {
    while (!text.empty()) {
      const size_t end = std::min(text.find(','), text.size());
      const std::string_view rule = text.substr(0, end);
      const size_t equals = rule.find('=');
      if (equals == std::string_view::npos) die("a rule is NAME=NUMBER");
      const uint64_t number = to_number(rule.substr(equals + 1), "rule");
      const double share = static_cast<double>(number) / 100;
      const std::string_view name = rule.substr(0, equals);
      if (name == "loss")
        loss = share;
      else if (name == "duplicate")
        duplicate = share;
      else if (name == "reorder")
        reorder = share;
      else if (name == "hold")
        hold_ms = static_cast<unsigned>(number);
      else
        die("rule " + std::string(name));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }

  bool takes(Kind kind) {
    for (Targeted& each : targeted) {
      if (each.kind != kind) continue;
      if (each.skip > 0) {
        each.skip--;
      } else if (each.count > 0) {
        each.count--;
        return true;
      }
    }
    return false;
  }
};

struct Counts {
  unsigned long long relayed = 0;
  unsigned long long lost = 0;
  unsigned long long duplicated = 0;
  unsigned long long reordered = 0;
};

int open_interface(const char* name) {
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0) die("packet socket");
  const auto set = [fd](int level, int option, const void* value, socklen_t size) {
    if (setsockopt(fd, level, option, value, size) < 0) die("option of a packet socket");
  };
  const int on = 1;
  set(SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on));
  set(SOL_PACKET, kIgnoreOutgoing, &on, sizeof(on));
  set(SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBuffer, sizeof(kSocketBuffer));
  set(SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBuffer, sizeof(kSocketBuffer));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(name));
  if (address.sll_ifindex == 0) die(name);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) die("bind");
  packet_mreq everything{};
  everything.mr_ifindex = address.sll_ifindex;
  everything.mr_type = PACKET_MR_PROMISC;
  set(SOL_PACKET, PACKET_ADD_MEMBERSHIP, &everything, sizeof(everything));
  return fd;
}

// Frames that arrive at one interface and leave by the other.
class Direction {
 public:
  Direction(int from, int to, uint64_t seed, Rules& rules)
      : from_(from), to_(to), rules_(rules), random_(seed) {}

  void relay() {
    Frame frame(kLongestFrame);
    for (;;) {
      const ssize_t size = recv(from_, frame.data(), frame.size(), MSG_DONTWAIT);
      // ENETDOWN comes once when an interface goes up or down.
      if (size < 0 && errno != EAGAIN && errno != ENETDOWN) die("receive");
      if (size < static_cast<ssize_t>(kVirtioHeader)) return;
      take(Frame(frame.begin(), frame.begin() + size));
    }
  }

  // Lets go of what was held back long enough. Returns how many ms the next one has to wait, -1 if there is none.
  int release() {
    while (!held_.empty()) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(held_.front().first - Clock::now()).count();
      if (left > 0) return static_cast<int>(left);
      send(held_.front().second);
      held_.pop();
    }
    return -1;
  }

  const Counts& counts() const { return counts_; }

 private:
  void take(Frame frame) {
    const Kind kind = kind_of(frame.data() + kVirtioHeader, frame.size() - kVirtioHeader);
    if (kind == Kind::other || kind == Kind::handshake) {
      send(frame);
      return;
    }
    if (rules_.takes(kind) || happens(rules_.loss)) {
      counts_.lost++;
      return;
    }
    if (happens(rules_.duplicate)) {
      counts_.duplicated++;
      send(frame);
    }
    if (!happens(rules_.reorder)) {
      send(frame);
      return;
    }
    counts_.reordered++;
    held_.emplace(Clock::now() + std::chrono::milliseconds(rules_.hold_ms), std::move(frame));
  }

  bool happens(double probability) { return std::uniform_real_distribution<>(0, 1)(random_) < probability; }

  void send(const Frame& frame) {
    // The other side may be down already when a test ends.
    if (::send(to_, frame.data(), frame.size(), 0) < 0 && errno != ENETDOWN && errno != ENOBUFS) die("send");
    counts_.relayed++;
  }

  int from_;
  int to_;
  Rules& rules_;
  std::mt19937_64 random_;
  std::queue<std::pair<Clock::time_point, Frame>> held_;
  Counts counts_;
};

// DIRECTION:KIND:SKIP:COUNT
void parse_drop(std::string_view text, Rules& to_right, Rules& to_left) {
  std::array<std::string_view, 4> parts;
  for (std::string_view& part : parts) {
    const size_t end = std::min(text.find(':'), text.size());
    part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  const Kind kind = parts[1] == "ack" ? Kind::ack : parts[1] == "data" ? Kind::data : Kind::fin;
  Rules& rules = parts[0] == "right" ? to_right : to_left;
  rules.targeted.push_back({kind, to_number(parts[2], "skip"), to_number(parts[3], "count")});
}

void print(const char* name, const Counts& counts, const char* end) {
  printf(R"("%s":{"relayed":%llu,"lost":%llu,"duplicated":%llu,"reordered":%llu}%s)", name, counts.relayed,
         counts.lost, counts.duplicated, counts.reordered, end);
}

void run(Direction& right, Direction& left, int left_fd, int right_fd) {
  puts("ready");
  fflush(stdout);
  while (!stopping) {
    const int waits[] = {right.release(), left.release()};
    const int wait =
        waits[0] < 0 || waits[1] < 0 ? std::max(waits[0], waits[1]) : std::min(waits[0], waits[1]);
    std::array<pollfd, 2> ready{{{left_fd, POLLIN, 0}, {right_fd, POLLIN, 0}}};
    if (poll(ready.data(), ready.size(), wait) < 0 && errno != EINTR) die("poll");
    right.relay();
    left.relay();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc % 2 == 0) die("impair LEFT RIGHT [OPTION VALUE]...");
  struct sigaction stop {};
  stop.sa_handler = [](int) { stopping = 1; };
  sigaction(SIGTERM, &stop, nullptr);
  Rules to_right;
  Rules to_left;
  uint64_t seed = 1;
  for (int i = 3; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--seed")
      seed = to_number(argv[i + 1], "seed");
    else if (name == "--to-right")
      to_right.parse(argv[i + 1]);
    else if (name == "--to-left")
      to_left.parse(argv[i + 1]);
    else if (name == "--drop")
      parse_drop(argv[i + 1], to_right, to_left);
    else
      die("option " + std::string(name));
  }
  const int left_fd = open_interface(argv[1]);
  const int right_fd = open_interface(argv[2]);
  Direction right(left_fd, right_fd, seed * 2, to_right);
  Direction left(right_fd, left_fd, seed * 2 + 1, to_left);
  run(right, left, left_fd, right_fd);
  putchar('{');
  print("toRight", right.counts(), ",");
  print("toLeft", left.counts(), "}\n");
}
