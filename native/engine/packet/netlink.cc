#include "netlink.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace longsplice::packet {

namespace {

constexpr uint32_t kLoopback = 1;
constexpr size_t kRoutesKept = 4096;
constexpr int kDumpAttempts = 4;
// The bits of an IPv4-mapped address before the IPv4 one.
constexpr size_t kMapped = 12;

// False for what has no IP address.
bool mapped_address(const SocketAddress& address, std::array<uint8_t, 16>& out) {
  if (address.family() == AF_INET) {
    out.fill(0);
    out[10] = out[11] = 0xff;
    memcpy(out.data() + kMapped, &reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr, 4);
    return true;
  }
  if (address.family() != AF_INET6) return false;
  memcpy(out.data(), &reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr, 16);
  return true;
}

bool is_v4(const std::array<uint8_t, 16>& address) {
  in6_addr v6;
  memcpy(&v6, address.data(), sizeof v6);
  return IN6_IS_ADDR_V4MAPPED(&v6);
}

bool any_of(std::span<const uint8_t> address) {
  return std::all_of(address.begin(), address.end(), [](uint8_t byte) { return byte == 0; });
}

}  // namespace

Netlink::Netlink() : monitor_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)) {
  static constexpr int kGroups[] = {RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                    RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV4_RULE,
                                    RTNLGRP_IPV6_RULE,  RTNLGRP_NEXTHOP};
  // Without an address of its own the socket hears nothing.
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  bind(monitor_.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any);
  for (const int group : kGroups) {
    setsockopt(monitor_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group);
  }
}

std::vector<Interface> Netlink::interfaces() {
  std::vector<Interface> found;
  for (int attempt = 0; attempt < kDumpAttempts; attempt++) {
    found.clear();
    Request request = all_interfaces();
    const int error = socket_.ask(request, [&found](const nlmsghdr& message) {
      const auto& link = header_of<ifinfomsg>(message);
      const Attributes attributes = Attributes::of(message, link);
      found.push_back({.index = static_cast<uint32_t>(link.ifi_index),
                       .name = std::string(attributes.text(IFLA_IFNAME)),
                       .loopback = (link.ifi_flags & IFF_LOOPBACK) != 0,
                       .up = (link.ifi_flags & IFF_UP) != 0,
                       .ethernet = link.ifi_type == ARPHRD_ETHER,
                       .enslaved = attributes.number(IFLA_MASTER) != 0,
                       .mtu = attributes.number(IFLA_MTU)});
    });
    if (error != EINTR) break;
  }
  return found;
}

size_t Netlink::PathHash::operator()(const Path& path) const {
  static_assert(sizeof(Path) == 36, "every byte of a path counts");
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(&path), sizeof path});
}

uint32_t Netlink::route(const SocketAddress& from, const SocketAddress& to) {
  Path path;
  if (!mapped_address(from, path.from) || !mapped_address(to, path.to)) return 0;
  if (to.family() == AF_INET6) path.scope = reinterpret_cast<const sockaddr_in6*>(to.get())->sin6_scope_id;
  if (const auto known = routes_.find(path); known != routes_.end()) return known->second;
  const uint32_t interface = ask_route(path);
  // Where there is no route, there is no connection that would ask again soon.
  if (interface == 0) return 0;
  if (routes_.size() >= kRoutesKept) routes_.clear();
  routes_.emplace(path, interface);
  return interface;
}

uint32_t Netlink::ask_route(const Path& path) {
  const bool v4 = is_v4(path.to);
  const size_t skip = v4 ? kMapped : 0;
  const auto to = std::span(path.to).subspan(skip);
  const auto from = std::span(path.from).subspan(skip);
  rtmsg header{};
  header.rtm_family = v4 ? AF_INET : AF_INET6;
  header.rtm_dst_len = static_cast<uint8_t>(to.size() * 8);
  const bool with_source = is_v4(path.from) == v4 && !any_of(from);
  if (with_source) header.rtm_src_len = header.rtm_dst_len;
  Request request(RTM_GETROUTE, 0, header);
  request.put(RTA_DST, to);
  if (with_source) request.put(RTA_SRC, from);
  if (path.scope != 0) request.put(RTA_OIF, path.scope);
  uint32_t interface = 0;
  const int error = socket_.ask(request, [&interface](const nlmsghdr& message) {
    const auto& route = header_of<rtmsg>(message);
    // For an address of this host the kernel may name the interface that has it; the packets pass lo.
    if (route.rtm_type == RTN_LOCAL) interface = kLoopback;
    if (route.rtm_type == RTN_UNICAST) interface = Attributes::of(message, route).number(RTA_OIF);
  });
  return error == 0 ? interface : 0;
}

bool Netlink::changed() {
  bool any = false;
  for (;;) {
    // That something came is all that matters; a message that does not fit is cut.
    char ignored;
    if (recv(monitor_.get(), &ignored, sizeof ignored, 0) < 0) {
      if (errno == EINTR) continue;
      // ENOBUFS: so much has changed that the kernel could not keep it all.
      if (errno != ENOBUFS) break;
    }
    any = true;
  }
  if (any) routes_.clear();
  return any;
}

}  // namespace longsplice::packet
