#include "forwarding.h"

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

// A list that goes on by one member.
std::string extended(std::string before, std::string_view member) {
  if (!before.empty()) before.append(", ");
  return before.append(member);
}

}  // namespace

bool is_forwarding_field(HeaderId id) {
  return id == HeaderId::x_forwarded_for || id == HeaderId::x_forwarded_proto ||
         id == HeaderId::x_forwarded_host || id == HeaderId::forwarded;
}

std::string original_client(const MessageHead& head, const ForwardingRules& rules) {
  std::vector<std::string_view> hops;
  for (const HeaderField& field : head.fields) {
    if (field.id != HeaderId::x_forwarded_for) continue;
    for_each_token(head.value(field), [&](std::string_view hop) { hops.push_back(hop); });
  }
  // From the nearest hop outwards: what a trusted proxy says of its own client can be believed.
  std::string client;
  for (auto hop = hops.rbegin(); hop != hops.rend(); ++hop) {
    CidrSet single;
    const std::string text(*hop);
    if (!single.add(text) || text.find('/') != std::string::npos) break;
    client = text;
    if (!rules.trusted.contains(text)) break;
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
    append_field(out, "x-forwarded-host", before.empty() ? facts.host : std::string_view(before));
  }
  if (rules.write_forwarded && !edits.replaces("forwarded")) {
    append_field(out, "forwarded",
                 extended(previous(head, HeaderId::forwarded, facts), forwarded_element(facts)));
  }
}

}  // namespace longsplice
