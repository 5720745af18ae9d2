#include "cidr_set.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "address.h"

namespace longsplice {

bool CidrSet::add(const std::string& range) {
  const size_t slash = range.find('/');
  bool v4 = false;
  const auto bits = bits_of(range.substr(0, slash), v4);
  if (!bits) return false;
  const int whole = v4 ? 32 : 128;
  int prefix = whole;
  if (slash != std::string::npos) {
    const char* end = range.data() + range.size();
    const auto [stop, error] = std::from_chars(range.data() + slash + 1, end, prefix);
    if (error != std::errc{} || stop != end || prefix < 0 || prefix > whole) return false;
  }
  ranges_.push_back({*bits, prefix + 128 - whole});
  return true;
}

bool CidrSet::contains(const SocketAddress& address) const { return contains(address.host()); }

bool CidrSet::contains(const std::string& host) const {
  if (ranges_.empty()) return false;
  bool v4 = false;
  const auto bits = bits_of(host, v4);
  return bits && contains(*bits);
}

bool CidrSet::contains(const Bits& bits) const {
  return std::ranges::any_of(ranges_, [&](const Range& range) {
    const auto bytes = static_cast<size_t>(range.prefix / 8);
    if (std::memcmp(bits.data(), range.network.data(), bytes) != 0) return false;
    const int rest = range.prefix % 8;
    if (rest == 0) return true;
    return ((bits[bytes] ^ range.network[bytes]) >> (8 - rest)) == 0;
  });
}

std::optional<CidrSet::Bits> CidrSet::bits_of(const std::string& host, bool& v4) {
  Bits bits{};
  v4 = inet_pton(AF_INET, host.c_str(), bits.data() + 12) == 1;
  if (v4) {
    bits[10] = bits[11] = 0xff;
    return bits;
  }
  if (inet_pton(AF_INET6, host.c_str(), bits.data()) == 1) return bits;
  return std::nullopt;
}

}  // namespace longsplice
