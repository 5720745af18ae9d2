// One pass over a head's fields: what they say about framing, persistence and routing.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "message_head.h"

namespace longsplice {

struct FieldSummary {
  const char* error = nullptr;  // why the message must be refused, or nullptr
  std::string_view host;
  std::string_view upgrade;
  std::vector<std::string_view> listed;  // names that Connection lists: not to be forwarded (RFC 9110, 7.6.1)
  uint64_t length = 0;
  uint32_t host_count = 0;
  uint32_t keep_alive_seconds = 0;  // of a Keep-Alive field, 0 if absent
  bool has_length = false;
  bool chunked = false;
  bool close = false;
  bool keep_alive = false;
  bool connection_upgrade = false;
  bool expect_continue = false;

  bool lists(std::string_view name) const;
};

// Refuses what llhttp's strict mode lets through but could be read in two ways: a transfer coding other than exactly
// "chunked", one in an HTTP/1.0 message, an unknown expectation.
FieldSummary summarize_fields(const MessageHead& head);

enum class BodyFraming : uint8_t { none, length, chunked, until_close };

// RFC 9112, 6.3 for requests.
BodyFraming request_framing(const FieldSummary& fields);
// RFC 9112, 6.3 for responses: `to_head` when the request was HEAD.
BodyFraming response_framing(const FieldSummary& fields, uint16_t status, bool to_head);

// RFC 9112, 9.3: whether the sender of this head keeps its connection open after the message.
bool persists(const MessageHead& head, const FieldSummary& fields);

}  // namespace longsplice
