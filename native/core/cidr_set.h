#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace longsplice {

class SocketAddress;

// A set of address ranges such as "10.0.0.0/8" or "2001:db8::/32". IPv4 ranges also match IPv4-mapped IPv6 addresses.
class CidrSet {
 public:
  // False when `range` is not an address with an optional prefix length.
  bool add(const std::string& range);
  bool contains(const SocketAddress& address) const;
  // `host` is a numeric address; anything else is in no range.
  bool contains(const std::string& host) const;
  bool empty() const { return ranges_.empty(); }

 private:
  using Bits = std::array<uint8_t, 16>;
  struct Range {
    Bits network;
    int prefix;
  };
  static std::optional<Bits> bits_of(const std::string& host, bool& v4);
  bool contains(const Bits& bits) const;

  std::vector<Range> ranges_;
};

}  // namespace longsplice
