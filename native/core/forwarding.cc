#include "forwarding.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "head_writer.h"
#include "text.h"

namespace longsplice {
namespace {

// All values of a field, joined by ", " (RFC 9110, 5.3); empty when the peer is not to be believed.
std::string previous(const MessageHead& head, HeaderId id, const ForwardingFacts& facts) {
  std::string joined;
  if (!facts.peer_trusted) return joined;
  for (const HeaderField& field : head.fields) {
    if (field.id != id || field.value_length == 0) continue;
    if (!joined.empty()) joined.append(", ");
    joined.append(head.value(field));
  }
  return joined;
}

// RFC 7239, 4 and 6: IPv6 addresses in brackets, and whatever has a colon in quotes.
std::string forwarded_element(const ForwardingFacts& facts) {
  std::string out("for=");
  const bool v6 = facts.peer.find(':') != std::string_view::npos;
  if (v6) {
    out.append("\"[").append(facts.peer).append("]\"");
  } else if (facts.peer == "unix") {
    out.append("unknown");
  } else {
    out.append(facts.peer);
  }
  if (!facts.host.empty()) out.append(";host=\"").append(facts.host).append("\"");
  out.append(";proto=http");
  return out;
}

// An address as X-Forwarded-For has it; some proxies add the port: 192.0.2.7:1234, [2001:db8::7]:1234.
std::optional<SocketAddress> read_hop(std::string_view hop) {
  std::string_view host = hop;
  std::string_view port;
  if (hop.starts_with('[')) {
    const size_t close = hop.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    host = hop.substr(1, close - 1);
    port = hop.substr(close + 1);
    if (host.find(':') == std::string_view::npos) return std::nullopt;
  } else if (std::ranges::count(hop, ':') == 1) {
    host = hop.substr(0, hop.find(':'));
    port = hop.substr(host.size());
  }
  uint16_t number = 0;
  if (!port.empty()) {
    const char* end = port.data() + port.size();
    const auto [stop, error] = std::from_chars(port.data() + 1, end, number);
    if (port.front() != ':' || error != std::errc{} || stop != end) return std::nullopt;
  }
  return SocketAddress::from_ip(std::string(host), number);
}

// A quoted string without an end would swallow the member that we append.
bool quotes_end(std::string_view list) {
  bool inside = false;
  for (size_t i = 0; i < list.size(); i++) {
    if (list[i] == '"') inside = !inside;
    if (inside && list[i] == '\\') i++;
  }
  return !inside;
}

// A list that goes on by one member.
std::string extended(std::string before, std::string_view member) {
  if (!before.empty()) before.append(", ");
  return before.append(member);
}

}  // namespace

bool is_forwarding_field(HeaderId id) {
  return id == HeaderId::x_forwarded_for || id == HeaderId::x_forwarded_proto ||
         id == HeaderId::x_forwarded_host || id == HeaderId::x_forwarded_alias || id == HeaderId::forwarded;
}

std::optional<SocketAddress> original_client(const MessageHead& head, const ForwardingRules& rules) {
  std::vector<std::string_view> hops;
  for (const HeaderField& field : head.fields) {
    if (field.id != HeaderId::x_forwarded_for) continue;
    for_each_token(head.value(field), [&](std::string_view hop) { hops.push_back(hop); });
  }
  // From the nearest hop outwards: what a trusted proxy says of its own client can be believed.
  std::optional<SocketAddress> client;
  for (auto hop = hops.rbegin(); hop != hops.rend(); ++hop) {
    const auto address = read_hop(*hop);
    if (!address) break;
    client = address;
    if (!rules.trusted.contains(*address)) break;
  }
  return client;
}

void append_forwarding_fields(Buffer& out, const MessageHead& head, const ForwardingRules& rules,
                              const ForwardingFacts& facts, const HeaderEdits& edits) {
  if (rules.write_for && !edits.replaces("x-forwarded-for")) {
    append_field(out, "x-forwarded-for",
                 extended(previous(head, HeaderId::x_forwarded_for, facts), facts.peer));
  }
  if (rules.write_proto && !edits.replaces("x-forwarded-proto")) {
    const std::string before = previous(head, HeaderId::x_forwarded_proto, facts);
    append_field(out, "x-forwarded-proto", before.empty() ? "http" : std::string_view(before));
  }
  if (rules.write_host && !edits.replaces("x-forwarded-host")) {
    const std::string before = previous(head, HeaderId::x_forwarded_host, facts);
    const std::string_view host = before.empty() ? facts.host : std::string_view(before);
    if (!host.empty()) append_field(out, "x-forwarded-host", host);
  }
  if (rules.write_forwarded && !edits.replaces("forwarded")) {
    std::string before = previous(head, HeaderId::forwarded, facts);
    if (!quotes_end(before)) before.clear();
    append_field(out, "forwarded", extended(std::move(before), forwarded_element(facts)));
  }
}

}  // namespace longsplice
