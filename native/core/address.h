#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fd.h"

namespace longsplice {

// An IPv4, IPv6 or Unix-domain socket address.
class SocketAddress {
 public:
  SocketAddress() = default;
  // `host` is a numeric address; names are resolved by the control plane.
  static std::optional<SocketAddress> from_ip(const std::string& host, uint16_t port);
  static std::optional<SocketAddress> from_path(const std::string& path);
  static SocketAddress local_of(int fd);
  static SocketAddress peer_of(int fd);
  // Where the peer wanted to go before netfilter redirected it to this socket; nothing when it was not redirected.
  static std::optional<SocketAddress> original_destination_of(int fd);
  static std::optional<SocketAddress> original_destination_of(int fd, const SocketAddress& local);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage_); }
  socklen_t length() const { return length_; }
  socklen_t* length_out() {
    length_ = sizeof storage_;
    return &length_;
  }
  int family() const { return storage_.ss_family; }
  uint16_t port() const;
  // "192.0.2.1", "2001:db8::1", "unix"; an IPv4-mapped IPv6 address reads as IPv4.
  std::string host() const;
  // "192.0.2.1:80", "[2001:db8::1]:80", "unix:/path".
  std::string text() const;

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

// A non-blocking listening socket with SO_REUSEPORT, so that each worker has a queue of its own. Port 0 picks one.
// On failure the Fd is empty and errno says why.
Fd open_listener(const SocketAddress& address, int backlog);

}  // namespace longsplice
