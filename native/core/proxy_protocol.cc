#include "proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace longsplice {
namespace {

constexpr std::string_view kSignatureV2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view kPrefixV1("PROXY ");
// The longest line of version 1, its CR LF included.
constexpr size_t kMaxV1 = 107;
// Addresses take at most 216 bytes; more than this of TLVs nobody sends.
constexpr size_t kMaxV2Payload = 4096;
// Two addresses and two ports.
constexpr size_t kV4Payload = 12;
constexpr size_t kV6Payload = 36;

bool is_beginning_of(std::string_view bytes, std::string_view whole) {
  return bytes.substr(0, whole.size()) == whole.substr(0, bytes.size());
}

std::string_view next_word(std::string_view& line) {
  const size_t space = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, space);
  line.remove_prefix(std::min(space + 1, line.size()));
  return word;
}

// As the kernel would tell it: one spelling for each address, IPv4 for what is only mapped into IPv6.
std::string plain_host(const std::string& text) {
  return SocketAddress::from_ip(text, 0).value_or(SocketAddress()).host();
}

bool is_address(const std::string& text, int family) {
  std::array<unsigned char, sizeof(in6_addr)> parsed;
  // inet_pton stops at a NUL; the bytes behind it would go on into logs and headers.
  if (text.find('\0') != std::string::npos) return false;
  return inet_pton(family, text.c_str(), parsed.data()) == 1;
}

// Decimal, without leading zeros.
bool read_port(std::string_view text, uint16_t& port) {
  if (text.size() > 1 && text.front() == '0') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return !text.empty() && error == std::errc{} && end == text.data() + text.size();
}

ProxyStatus read_v1(std::string_view bytes, ProxyHeader& header, size_t& used) {
  const size_t end = bytes.substr(0, kMaxV1).find("\r\n");
  if (end == std::string_view::npos)
    return bytes.size() < kMaxV1 ? ProxyStatus::need_more : ProxyStatus::invalid;
  std::string_view line = bytes.substr(kPrefixV1.size(), end - kPrefixV1.size());
  used = end + 2;
  const std::string_view protocol = next_word(line);
  if (protocol == "UNKNOWN") return ProxyStatus::complete;
  const int family = protocol == "TCP4" ? AF_INET : protocol == "TCP6" ? AF_INET6 : AF_UNSPEC;
  if (family == AF_UNSPEC) return ProxyStatus::invalid;
  const std::string source(next_word(line));
  const std::string destination(next_word(line));
  uint16_t destination_port = 0;
  const bool ports = read_port(next_word(line), header.port) && read_port(line, destination_port);
  if (!ports || !is_address(source, family) || !is_address(destination, family)) return ProxyStatus::invalid;
  header.host = plain_host(source);
  header.has_source = true;
  return ProxyStatus::complete;
}

uint16_t read_u16(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>((static_cast<unsigned char>(bytes[at]) << 8) |
                               static_cast<unsigned char>(bytes[at + 1]));
}

ProxyStatus read_v2(std::string_view bytes, ProxyHeader& header, size_t& used) {
  constexpr size_t kFixed = 16;
  if (bytes.size() < kFixed) return ProxyStatus::need_more;
  const auto version_command = static_cast<unsigned char>(bytes[12]);
  const auto family = static_cast<unsigned char>(bytes[13]);
  const size_t length = read_u16(bytes, 14);
  if (version_command >> 4 != 2 || length > kMaxV2Payload) return ProxyStatus::invalid;
  if (bytes.size() < kFixed + length) return ProxyStatus::need_more;
  used = kFixed + length;
  const int command = version_command & 15;
  if (command == 0) return ProxyStatus::complete;
  if (command != 1) return ProxyStatus::invalid;
  const std::string_view payload = bytes.substr(kFixed, length);
  std::array<char, INET6_ADDRSTRLEN> text;
  const bool v4 = family == 0x11;
  // Any other family (Unix sockets, UDP) says nothing that we could use.
  if (!v4 && family != 0x21) return ProxyStatus::complete;
  if (length < (v4 ? kV4Payload : kV6Payload)) return ProxyStatus::invalid;
  inet_ntop(v4 ? AF_INET : AF_INET6, payload.data(), text.data(), text.size());
  header.host = plain_host(text.data());
  header.port = read_u16(payload, v4 ? 8 : 32);
  header.has_source = true;
  return ProxyStatus::complete;
}

void append_u16(std::string& out, uint16_t number) {
  out.push_back(static_cast<char>(number >> 8));
  out.push_back(static_cast<char>(number & 255));
}

void append_raw(std::string& out, const std::string& host, int family) {
  std::array<char, sizeof(in6_addr)> raw;
  inet_pton(family, host.c_str(), raw.data());
  out.append(raw.data(), family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr));
}

}  // namespace

ProxyStatus read_proxy_header(std::string_view bytes, ProxyHeader& header, size_t& used) {
  if (bytes.size() >= kPrefixV1.size() && bytes.starts_with(kPrefixV1)) return read_v1(bytes, header, used);
  if (bytes.size() >= kSignatureV2.size() && bytes.starts_with(kSignatureV2))
    return read_v2(bytes, header, used);
  const bool may_become_one = is_beginning_of(bytes, kPrefixV1) || is_beginning_of(bytes, kSignatureV2);
  return may_become_one ? ProxyStatus::need_more : ProxyStatus::invalid;
}

void write_proxy_header(std::string& out, ProxyProtocol version, const SocketAddress& source,
                        const SocketAddress& destination) {
  const std::string from = source.host();
  const std::string to = destination.host();
  // An IPv4-mapped address counts as IPv4, and both ends must be of one family.
  const bool v4 = is_address(from, AF_INET) && is_address(to, AF_INET);
  const bool v6 = is_address(from, AF_INET6) && is_address(to, AF_INET6);
  if (version == ProxyProtocol::v1) {
    if (!v4 && !v6) {
      out.append("PROXY UNKNOWN\r\n");
      return;
    }
    out.append(v4 ? "PROXY TCP4 " : "PROXY TCP6 ").append(from).append(" ").append(to).append(" ");
    out.append(std::to_string(source.port()))
        .append(" ")
        .append(std::to_string(destination.port()))
        .append("\r\n");
    return;
  }
  out.append(kSignatureV2);
  if (!v4 && !v6) {
    out.append(std::string_view("\x20\x00\x00\x00", 4));
    return;
  }
  out.push_back('\x21');
  out.push_back(v4 ? '\x11' : '\x21');
  append_u16(out, v4 ? kV4Payload : kV6Payload);
  append_raw(out, from, v4 ? AF_INET : AF_INET6);
  append_raw(out, to, v4 ? AF_INET : AF_INET6);
  append_u16(out, source.port());
  append_u16(out, destination.port());
}

}  // namespace longsplice
