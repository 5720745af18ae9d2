// Heads are written anew from what was parsed: no byte of a message that was not understood is passed on.
#pragma once

#include <string_view>

#include "buffer.h"
#include "field_summary.h"
#include "header_rules.h"
#include "message_head.h"

namespace longsplice {

void append_field(Buffer& out, std::string_view name, std::string_view value);

// The fields of a head that go on: none that belong to one connection (RFC 9110, 7.6.1), that Connection names, or that
// the route replaces. `keep_length`: with Content-Length; `keep_forwarding`: with X-Forwarded-* and Forwarded.
void append_fields(Buffer& out, const MessageHead& head, const FieldSummary& summary,
                   const HeaderEdits& edits, bool keep_length, bool keep_forwarding = true);

// The fields that the route sets.
void append_edits(Buffer& out, const HeaderEdits& edits, const TemplateValues& values);

// RFC 9112, 4: llhttp lets any byte of a reason pass, and takes any three digits.
bool is_valid_status_line(const MessageHead& head);
void append_status_line(Buffer& out, const MessageHead& head);

}  // namespace longsplice
