#include "last_words.h"

#include <bpf/bpf.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>

#include "../../bpf/include/abi.h"
#include "rtnetlink.h"

namespace longsplice::packet {

namespace {

constexpr uint32_t bit(int state) { return uint32_t{1} << state; }
constexpr uint32_t kUnacknowledged = bit(TCP_FIN_WAIT1) | bit(TCP_CLOSING) | bit(TCP_LAST_ACK);
// One without a process is in time-wait for everybody else, and is listed by what it stands for.
constexpr uint32_t kUnanswered = bit(TCP_FIN_WAIT2);

void copy_address(__be32 (&to)[4], const __be32 (&from)[4], uint8_t family) {
  if (family == AF_INET6) {
    memcpy(to, from, sizeof to);
  } else {
    to[0] = to[1] = 0;
    to[2] = htonl(0xffff);
    to[3] = from[0];
  }
}

ls_key key_of(const inet_diag_msg& socket) {
  ls_key key{};
  copy_address(key.local, socket.id.idiag_src, socket.idiag_family);
  copy_address(key.remote, socket.id.idiag_dst, socket.idiag_family);
  key.local_port = socket.id.idiag_sport;
  key.remote_port = socket.id.idiag_dport;
  return key;
}

}  // namespace

std::optional<LastWords> last_words(int sockets) {
  LastWords found{};
  RtSocket kernel(NETLINK_SOCK_DIAG);
  for (const int family : {AF_INET, AF_INET6}) {
    inet_diag_req_v2 wanted{};
    wanted.sdiag_family = static_cast<uint8_t>(family);
    wanted.sdiag_protocol = IPPROTO_TCP;
    wanted.idiag_states = kUnacknowledged | kUnanswered;
    Request request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, wanted);
    const int error = kernel.ask(request, [&](const nlmsghdr& message) {
      const auto& socket = header_of<inet_diag_msg>(message);
      const ls_key key = key_of(socket);
      uint32_t record = 0;
      if (bpf_map_lookup_elem(sockets, &key, &record) != 0) return;
      ((bit(socket.idiag_state) & kUnanswered) != 0 ? found.unanswered : found.unacknowledged)++;
    });
    // Without IPv6 there are no sockets of that family. A list that was cut short is read again soon.
    if (error != 0 && error != EINTR && family == AF_INET) return std::nullopt;
  }
  return found;
}

}  // namespace longsplice::packet
