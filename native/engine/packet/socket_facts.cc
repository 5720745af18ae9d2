#include "socket_facts.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace longsplice::packet {

namespace {

// linux/tcp.h of Debian 12, whose kernel has had it since 4.9, does not name it.
constexpr int kRepairOffNoProbe = -1;
constexpr uint8_t kEstablished = 1;  // TCP_ESTABLISHED

template <typename T>
bool get(int fd, int option, T& value) {
  socklen_t length = sizeof value;
  return getsockopt(fd, IPPROTO_TCP, option, &value, &length) == 0;
}

bool set(int fd, int option, int value) {
  return setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value) == 0;
}

uint32_t segment_of(const tcp_info& info) {
  constexpr uint32_t kTimestampBytes = 12;
  return info.tcpi_snd_mss + ((info.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0 ? kTimestampBytes : 0);
}

// tcpi_rcv_wnd came with 6.2; the window never exceeds this.
uint32_t window_of(const tcp_info& info) { return info.tcpi_rcv_ssthresh; }

bool queued(int fd, unsigned long which, uint32_t& bytes) { return ioctl(fd, which, &bytes) == 0; }

// The two belong together, and bytes may arrive in between.
bool read_received(int fd, SocketFacts& facts) {
  constexpr int kTries = 64;
  uint32_t before = 0;
  if (!get(fd, TCP_QUEUE_SEQ, facts.rcv)) return false;
  for (int i = 0; i < kTries; i++) {
    before = facts.rcv;
    if (!queued(fd, SIOCINQ, facts.unread)) return false;
    if (facts.unread == 0) return true;
    if (!get(fd, TCP_QUEUE_SEQ, facts.rcv)) return false;
    if (facts.rcv == before) return true;
  }
  errno = EAGAIN;
  return false;
}

// In repair mode the kernel tells its numbers. It does not stop the socket meanwhile, so this must be short.
bool read_numbers(int fd, Known known, SocketFacts& facts) {
  if (!set(fd, TCP_REPAIR, 1)) return false;
  facts.unacked = 0;
  const bool read = set(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE) && get(fd, TCP_QUEUE_SEQ, facts.snd) &&
                    (!known.has_sent || queued(fd, SIOCOUTQ, facts.unacked)) &&
                    set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE) && read_received(fd, facts) &&
                    get(fd, TCP_MAXSEG, facts.mss_clamp);
  const bool left = set(fd, TCP_REPAIR, kRepairOffNoProbe);
  if (!known.accepted) return read && left;
  // Leaving repair mode takes away the reuse flag, and a listener could not bind the address any more.
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  return read && left;
}

void copy_address(__be32 to[4], in_port_t& port, const SocketAddress& address) {
  if (address.family() == AF_INET6) {
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(address.get());
    memcpy(to, &in6->sin6_addr, 16);
    port = in6->sin6_port;
    return;
  }
  const auto* in4 = reinterpret_cast<const sockaddr_in*>(address.get());
  to[0] = to[1] = 0;
  to[2] = htonl(0xffff);
  to[3] = in4->sin_addr.s_addr;
  port = in4->sin_port;
}

}  // namespace

bool read_unacked(int fd, uint32_t& bytes) { return queued(fd, SIOCOUTQ, bytes); }

bool read_unsent(int fd, uint32_t& bytes) {
  tcp_info info{};
  if (!get(fd, TCP_INFO, info)) return false;
  bytes = info.tcpi_notsent_bytes;
  return true;
}

bool is_open(int fd) {
  tcp_info info{};
  return get(fd, TCP_INFO, info) && info.tcpi_state == kEstablished;
}

bool read_unread(int fd, uint32_t& bytes) { return queued(fd, SIOCINQ, bytes); }

bool read_facts(int fd, Known known, SocketFacts& facts) {
  facts.local = SocketAddress::local_of(fd);
  facts.remote = SocketAddress::peer_of(fd);
  tcp_info info{};
  if (!get(fd, TCP_INFO, info)) return false;
  if (!read_numbers(fd, known, facts)) return false;
  facts.established = info.tcpi_state == kEstablished;
  facts.options = info.tcpi_options;
  facts.remote_wscale = info.tcpi_snd_wscale;
  facts.local_wscale = info.tcpi_rcv_wscale;
  facts.snd_wnd = info.tcpi_snd_wnd;
  facts.unsent = info.tcpi_notsent_bytes;
  facts.window = window_of(info);
  facts.advertised_mss = info.tcpi_advmss;
  facts.path_mss = info.tcpi_pmtu - headers_of(facts.remote);
  facts.segment = segment_of(info);
  timespec now{};
  if (!get(fd, TCP_TIMESTAMP, facts.ts_clock)) return false;
  clock_gettime(CLOCK_MONOTONIC, &now);
  facts.ts_clock_ns = static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  return true;
}

bool read_room(int fd, Room& room) {
  tcp_info info{};
  uint32_t unacked = 0;
  if (!get(fd, TCP_INFO, info) || !queued(fd, SIOCINQ, room.unread) || !queued(fd, SIOCOUTQ, unacked))
    return false;
  room.announced = room.unread + window_of(info);
  room.free = info.tcpi_snd_wnd > unacked ? info.tcpi_snd_wnd - unacked : 0;
  return true;
}

bool received_out_of_order(int fd, uint32_t& window) {
  tcp_info info{};
  if (!get(fd, TCP_INFO, info)) return true;
  window = window_of(info);
  return info.tcpi_rcv_ooopack != 0;
}

void close_silently_later(int fd) { set(fd, TCP_REPAIR, 1); }

void reset_on_close(int fd, bool reset) {
  const linger option{reset ? 1 : 0, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, sizeof option);
}

uint32_t segment_size(int fd) {
  tcp_info info{};
  if (!get(fd, TCP_INFO, info)) return 0;
  return segment_of(info);
}

bool is_v4(const SocketAddress& address) {
  if (address.family() != AF_INET6) return true;
  return IN6_IS_ADDR_V4MAPPED(&reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr);
}

uint32_t headers_of(const SocketAddress& address) { return is_v4(address) ? 40 : 60; }

bool redirected(int fd, const SocketAddress& local) {
  return SocketAddress::original_destination_of(fd, local).has_value();
}

ls_key key_of(const SocketAddress& local, const SocketAddress& remote) {
  ls_key key{};
  copy_address(key.local, key.local_port, local);
  copy_address(key.remote, key.remote_port, remote);
  return key;
}

}  // namespace longsplice::packet
