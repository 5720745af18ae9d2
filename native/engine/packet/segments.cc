#include "segments.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "numbers.h"
#include "record_pair.h"
#include "socket_facts.h"

namespace longsplice::packet {

namespace {

constexpr uint32_t kLoopback = 1;
constexpr uint8_t kHops = 64;
constexpr size_t kBatch = 64;

bool is_v4(const ls_key& key) {
  return key.remote[0] == 0 && key.remote[1] == 0 && key.remote[2] == htonl(0xffff);
}

// RFC 1071.
class Sum {
 public:
  void add(const void* data, size_t length) {
    const auto* at = static_cast<const char*>(data);
    for (; length >= 4; at += 4, length -= 4) add_word(at, 4);
    if (length > 0) add_word(at, length);
  }
  uint16_t checksum() const {
    uint64_t sum = (sum_ & 0xffffffff) + (sum_ >> 32);
    for (int i = 0; i < 4; i++) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
  }

 private:
  void add_word(const char* at, size_t length) {
    uint32_t word = 0;
    memcpy(&word, at, length);
    sum_ += word;
  }
  uint64_t sum_ = 0;
};

// What the socket's stack would let its remote end send.
uint16_t window_of(const ls_record& from) {
  return static_cast<uint16_t>(std::min<uint32_t>(room_of(from) >> (from.local_wscale & 15), UINT16_MAX));
}

// Returns how long it is.
size_t write_tcp(char* to, const ls_record& from, uint32_t seq, std::string_view payload) {
  const bool timestamps = (from.flags & LS_TIMESTAMPS) != 0;
  const size_t header = sizeof(tcphdr) + (timestamps ? kTimestampBytes : 0);
  tcphdr tcp{};
  tcp.source = from.key.local_port;
  tcp.dest = from.key.remote_port;
  tcp.seq = htonl(seq);
  tcp.ack_seq = htonl(from.local_rcv);
  tcp.doff = timestamps ? 8 : 5;  // words
  tcp.ack = 1;
  tcp.psh = payload.empty() ? 0 : 1;
  tcp.window = htons(window_of(from));
  if (timestamps) {
    // An echo of 0 is none (RFC 7323, 4.3 leaves it to the sender's clock to tell); the stack alone knows the last one.
    const std::array<uint32_t, 3> option{htonl(TCPOPT_TSTAMP_HDR), htonl(stack_clock(from)), 0};
    memcpy(to + sizeof tcp, option.data(), kTimestampBytes);
  }
  memcpy(to + header, payload.data(), payload.size());
  const size_t length = header + payload.size();
  memcpy(to, &tcp, sizeof tcp);
  Sum sum;
  const bool v4 = is_v4(from.key);
  const std::array<uint32_t, 2> rest{htonl(static_cast<uint32_t>(length)), htonl(IPPROTO_TCP)};
  sum.add(v4 ? &from.key.local[3] : from.key.local, v4 ? 4 : 16);
  sum.add(v4 ? &from.key.remote[3] : from.key.remote, v4 ? 4 : 16);
  sum.add(rest.data(), sizeof rest);
  sum.add(to, length);
  tcp.check = sum.checksum();
  memcpy(to, &tcp, sizeof tcp);
  return length;
}

// The kernel fills in the rest of it (raw(7), ip(7)).
void write_ip4(char* to, const ls_key& key, size_t length) {
  iphdr ip{};
  ip.version = 4;
  ip.ihl = sizeof ip / 4;
  ip.tot_len = htons(static_cast<uint16_t>(sizeof ip + length));
  ip.frag_off = htons(IP_DF);
  ip.ttl = kHops;
  ip.protocol = IPPROTO_TCP;
  ip.saddr = key.local[3];
  ip.daddr = key.remote[3];
  memcpy(to, &ip, sizeof ip);
}

void write_ip6(char* to, const ls_key& key, size_t length) {
  ip6_hdr ip{};
  ip.ip6_vfc = 6 << 4;
  ip.ip6_plen = htons(static_cast<uint16_t>(length));
  ip.ip6_nxt = IPPROTO_TCP;
  ip.ip6_hlim = kHops;
  memcpy(&ip.ip6_src, key.local, sizeof ip.ip6_src);
  memcpy(&ip.ip6_dst, key.remote, sizeof ip.ip6_dst);
  memcpy(to, &ip, sizeof ip);
}

sockaddr_storage remote_of(const ls_record& from, bool v4) {
  sockaddr_storage storage{};
  if (v4) {
    auto& address = reinterpret_cast<sockaddr_in&>(storage);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = from.key.remote[3];
  } else {
    auto& address = reinterpret_cast<sockaddr_in6&>(storage);
    address.sin6_family = AF_INET6;
    memcpy(&address.sin6_addr, from.key.remote, sizeof address.sin6_addr);
    if (IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr)) address.sin6_scope_id = from.ifindex;
  }
  return storage;
}

// By which way a segment leaves: the one on which the programs are, whatever rules there are for other sources. On lo there is
// one way only, and local addresses belong to other interfaces.
union Way {
  cmsghdr header;
  char v4[CMSG_SPACE(sizeof(in_pktinfo))];
  char v6[CMSG_SPACE(sizeof(in6_pktinfo))];
};

template <typename Info>
size_t say_way(Way& way, int level, int type, const Info& info) {
  way.header.cmsg_level = level;
  way.header.cmsg_type = type;
  way.header.cmsg_len = CMSG_LEN(sizeof info);
  memcpy(CMSG_DATA(&way.header), &info, sizeof info);
  return CMSG_SPACE(sizeof info);
}

size_t way_of(const ls_record& from, bool v4, Way& way) {
  const uint32_t interface = from.ifindex == kLoopback ? 0 : from.ifindex;
  way = {};
  if (v4) {
    in_pktinfo info{};
    info.ipi_ifindex = static_cast<int>(interface);
    info.ipi_spec_dst.s_addr = from.key.local[3];
    return say_way(way, IPPROTO_IP, IP_PKTINFO, info);
  }
  in6_pktinfo info{};
  info.ipi6_ifindex = interface;
  memcpy(&info.ipi6_addr, from.key.local, sizeof info.ipi6_addr);
  return say_way(way, IPPROTO_IPV6, IPV6_PKTINFO, info);
}

}  // namespace

Segments::Segments()
    : v4_(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW)),
      v6_(socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW)) {}

bool Segments::can_send(const ls_record& from) const {
  return static_cast<bool>(is_v4(from.key) ? v4_ : v6_);
}

void Segments::add(const ls_record& from, uint32_t seq, std::string_view payload, uint32_t tag) {
  const size_t begin = bytes_.size();
  const size_t ip = is_v4(from.key) ? sizeof(iphdr) : sizeof(ip6_hdr);
  bytes_.resize(begin + ip + sizeof(tcphdr) + kTimestampBytes + payload.size());
  char* const to = bytes_.data() + begin;
  const size_t length = write_tcp(to + ip, from, seq, payload);
  if (is_v4(from.key)) {
    write_ip4(to, from.key, length);
  } else {
    write_ip6(to, from.key, length);
  }
  bytes_.resize(begin + ip + length);
  waiting_.push_back({begin, ip + length, &from, tag});
}

void Segments::send(const std::function<void(uint32_t tag)>& failed) {
  if (waiting_.empty()) return;
  // The ones that fail may add others.
  std::vector<uint32_t> lost;
  for (const Fd* fd : {&v4_, &v6_}) {
    std::array<mmsghdr, kBatch> messages;
    std::array<iovec, kBatch> pieces;
    std::array<sockaddr_storage, kBatch> remotes;
    std::array<Way, kBatch> ways;
    std::array<uint32_t, kBatch> tags;
    unsigned count = 0;
    const auto send_batch = [&] {
      for (unsigned at = 0; at < count;) {
        const int sent = sendmmsg(fd->get(), messages.data() + at, count - at, MSG_DONTWAIT);
        at += static_cast<unsigned>(std::max(sent, 0));
        if (at < count) lost.push_back(tags[at++]);
      }
      count = 0;
    };
    for (const Waiting& each : waiting_) {
      const bool v4 = is_v4(each.from->key);
      if (v4 != (fd == &v4_)) continue;
      pieces[count] = {bytes_.data() + each.begin, each.length};
      remotes[count] = remote_of(*each.from, v4);
      tags[count] = each.tag;
      messages[count] = {};
      messages[count].msg_hdr.msg_name = &remotes[count];
      messages[count].msg_hdr.msg_namelen = v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
      messages[count].msg_hdr.msg_iov = &pieces[count];
      messages[count].msg_hdr.msg_iovlen = 1;
      messages[count].msg_hdr.msg_control = &ways[count];
      messages[count].msg_hdr.msg_controllen = way_of(*each.from, v4, ways[count]);
      if (++count == kBatch) send_batch();
    }
    send_batch();
  }
  waiting_.clear();
  bytes_.clear();
  for (const uint32_t tag : lost) failed(tag);
}

}  // namespace longsplice::packet
