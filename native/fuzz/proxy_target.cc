// PROXY protocol headers: read in pieces as whole, nothing but a plain address comes out of them, and what we write we
// read again.
#include <arpa/inet.h>

#include <algorithm>

#include "../core/proxy_protocol.h"
#include "fuzz.h"

namespace longsplice::fuzz {
namespace {

struct Reading {
  ProxyStatus status = ProxyStatus::need_more;
  ProxyHeader header;
  size_t used = 0;
};

// The reader is given everything from the beginning whenever more has come.
template <typename NextLength>
Reading read_header(std::string_view bytes, NextLength next_length) {
  Reading reading;
  for (size_t to = 0; to < bytes.size() && reading.status == ProxyStatus::need_more;) {
    to += std::min(next_length(), bytes.size() - to);
    const Exact received(bytes.substr(0, to));
    reading = {};
    reading.status = read_proxy_header(received.view(), reading.header, reading.used);
  }
  return reading;
}

// Goes into logs and header fields as it is, so it must be an address and nothing more.
bool is_plain_address(const std::string& text) {
  in6_addr address;
  if (text.find_first_not_of("0123456789abcdefABCDEF.:") != std::string::npos) return false;
  return inet_pton(AF_INET, text.c_str(), &address) == 1 || inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

void write_and_read(ProxyProtocol version, const ProxyHeader& header) {
  const auto source = SocketAddress::from_ip(header.host, header.port);
  require(source.has_value(), "a host that was read can be used", header.host);
  std::string written;
  write_proxy_header(written, version, *source, *source);
  const Reading again = read_header(written, [&] { return written.size(); });
  require(again.status == ProxyStatus::complete && again.used == written.size(), "a written header is read");
  require(again.header.has_source && again.header.host == source->host() && again.header.port == header.port,
          "a written header says the same");
}

}  // namespace

int proxy_target(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Reading whole = read_header(bytes, [&] { return bytes.size(); });
  Cuts cuts(data[1]);
  const Reading pieces = read_header(bytes, [&] { return cuts.next(); });
  require(whole.status == pieces.status, "a header in pieces gets the verdict of the whole", bytes);
  if (whole.status != ProxyStatus::complete) return 0;
  require(whole.used == pieces.used && whole.used <= bytes.size(),
          "a header in pieces ends where the whole ends");
  require(whole.header.has_source == pieces.header.has_source && whole.header.host == pieces.header.host &&
              whole.header.port == pieces.header.port,
          "a header in pieces says what the whole says");
  if (!whole.header.has_source) return 0;
  require(is_plain_address(whole.header.host), "a source is a plain address", whole.header.host);
  write_and_read(data[0] & 1 ? ProxyProtocol::v1 : ProxyProtocol::v2, whole.header);
  return 0;
}

}  // namespace longsplice::fuzz
