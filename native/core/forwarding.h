// X-Forwarded-For, -Proto, -Host and Forwarded (RFC 7239): what a backend is told of the client, and what we believe of
// it ourselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "address.h"
#include "buffer.h"
#include "cidr_set.h"
#include "header_rules.h"
#include "message_head.h"

namespace longsplice {

struct ForwardingRules {
  // Off: these fields are ordinary ones.
  bool active = false;
  CidrSet trusted;  // whose fields are believed and continued; everybody else's are dropped
  bool write_for = false;
  bool write_proto = false;
  bool write_host = false;
  bool write_forwarded = false;
};

bool is_forwarding_field(HeaderId id);

// The client behind trusted proxies: the last address of X-Forwarded-For that is not a trusted proxy's. Nothing when the
// field is missing or says nothing usable. The port is 0 where the proxy does not say it.
std::optional<SocketAddress> original_client(const MessageHead& head, const ForwardingRules& rules);

struct ForwardingFacts {
  std::string_view peer;  // who sent us the request
  std::string_view host;
  bool peer_trusted;
};

// Appends the fields that the rules ask for, continuing those of a trusted peer; not those that the route sets or
// removes itself.
void append_forwarding_fields(Buffer& out, const MessageHead& head, const ForwardingRules& rules,
                              const ForwardingFacts& facts, const HeaderEdits& edits);

}  // namespace longsplice
