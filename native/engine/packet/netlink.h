// What the kernel says of interfaces and routes. For one thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "../../core/address.h"
#include "../../core/fd.h"
#include "rtnetlink.h"

namespace longsplice::packet {

struct Interface {
  uint32_t index;
  std::string name;
  bool loopback;
  bool up;
  bool ethernet;
  bool enslaved;  // a port of a bridge or a bond: the addresses are elsewhere
  uint32_t mtu;
};

class Netlink {
 public:
  Netlink();

  // All interfaces of the network namespace; none if the kernel could not be asked.
  std::vector<Interface> interfaces();

  // The interface by which packets between these addresses leave: 1 (lo) if `to` is an address of this host, 0 if
  // there is no route. Remembered until `changed` says that something has changed.
  uint32_t route(const SocketAddress& from, const SocketAddress& to);

  // Whether interfaces, addresses or routes have changed since the last call.
  bool changed();

 private:
  // Addresses of both ends (IPv4 is mapped) and the scope.
  struct Path {
    std::array<uint8_t, 16> from{};
    std::array<uint8_t, 16> to{};
    uint32_t scope = 0;
    bool operator==(const Path&) const = default;
  };
  struct PathHash {
    size_t operator()(const Path& path) const;
  };

  uint32_t ask_route(const Path& path);

  RtSocket socket_;
  Fd monitor_;
  std::unordered_map<Path, uint32_t, PathHash> routes_;
};

}  // namespace longsplice::packet
