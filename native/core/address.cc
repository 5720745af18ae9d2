#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace longsplice {

std::optional<SocketAddress> SocketAddress::from_ip(const std::string& host, uint16_t port) {
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage_);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length_ = sizeof *v4;
    return address;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage_);
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.length_ = sizeof *v6;
    return address;
  }
  return std::nullopt;
}

std::optional<SocketAddress> SocketAddress::from_path(const std::string& path) {
  SocketAddress address;
  auto* un = reinterpret_cast<sockaddr_un*>(&address.storage_);
  if (path.empty() || path.size() >= sizeof un->sun_path) return std::nullopt;
  un->sun_family = AF_UNIX;
  std::memcpy(un->sun_path, path.c_str(), path.size() + 1);
  address.length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

SocketAddress SocketAddress::local_of(int fd) {
  SocketAddress address;
  if (getsockname(fd, address.get(), address.length_out()) != 0) return {};
  return address;
}

SocketAddress SocketAddress::peer_of(int fd) {
  SocketAddress address;
  if (getpeername(fd, address.get(), address.length_out()) != 0) return {};
  return address;
}

std::optional<SocketAddress> SocketAddress::original_destination_of(int fd) {
  return original_destination_of(fd, local_of(fd));
}

std::optional<SocketAddress> SocketAddress::original_destination_of(int fd, const SocketAddress& local) {
  // linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h; both headers clash with those of libc.
  constexpr int kSoOriginalDst = 80;
  const bool v6 = local.family() == AF_INET6 && local.host().find(':') != std::string::npos;
  SocketAddress address;
  const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (getsockopt(fd, level, kSoOriginalDst, address.get(), address.length_out()) != 0) return std::nullopt;
  // Without a redirection it is our own address: connecting there would be a loop.
  if (address.host() == local.host() && address.port() == local.port()) return std::nullopt;
  return address;
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
  return 0;
}

std::string SocketAddress::host() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr, text, sizeof text);
    return text;
  }
  if (family() == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
      inet_ntop(AF_INET, v6.s6_addr + 12, text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &v6, text, sizeof text);
    }
    return text;
  }
  return "unix";
}

std::string SocketAddress::text() const {
  if (family() == AF_UNIX) {
    const auto* un = reinterpret_cast<const sockaddr_un*>(&storage_);
    return std::string("unix:") + (length_ > offsetof(sockaddr_un, sun_path) ? un->sun_path : "");
  }
  const std::string name = host();
  const bool bracket = name.find(':') != std::string::npos;
  return (bracket ? "[" + name + "]" : name) + ":" + std::to_string(port());
}

namespace {

// A socket file that nobody listens on is left over from a crash; one that answers is in use.
bool remove_stale_socket_file(const SocketAddress& address) {
  const auto* un = reinterpret_cast<const sockaddr_un*>(address.get());
  struct stat status;
  if (stat(un->sun_path, &status) != 0) return true;
  if (!S_ISSOCK(status.st_mode)) {
    errno = EEXIST;
    return false;
  }
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (probe && connect(probe.get(), address.get(), address.length()) == 0) {
    errno = EADDRINUSE;
    return false;
  }
  return unlink(un->sun_path) == 0;
}

}  // namespace

Fd open_listener(const SocketAddress& address, int backlog) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return {};
  const int one = 1;
  if (address.family() == AF_UNIX) {
    if (!remove_stale_socket_file(address)) return {};
  } else {
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    // Inherited by accepted sockets: heads and small bodies must leave at once.
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  if (bind(fd.get(), address.get(), address.length()) != 0) return {};
  if (listen(fd.get(), backlog) != 0) return {};
  return fd;
}

}  // namespace longsplice
