// PROXY protocol, versions 1 and 2 (haproxy.org, doc/proxy-protocol.txt): who the client is, said by a proxy in front
// of us, or by us to a backend, before the first byte of the connection proper.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "address.h"

namespace longsplice {

enum class ProxyProtocol : uint8_t { none, v1, v2 };

struct ProxyHeader {
  bool has_source = false;  // false for v1 UNKNOWN and v2 LOCAL: the peer speaks for itself
  std::string host;
  uint16_t port = 0;
};

enum class ProxyStatus : uint8_t { need_more, complete, invalid };

// Reads a header of either version at the beginning of `bytes`; `used` is its length once complete.
ProxyStatus read_proxy_header(std::string_view bytes, ProxyHeader& header, size_t& used);

// Appends the header for a connection from `source` to `destination`.
void write_proxy_header(std::string& out, ProxyProtocol version, const SocketAddress& source,
                        const SocketAddress& destination);

}  // namespace longsplice
