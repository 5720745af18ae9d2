#include "head_writer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "forwarding.h"

namespace longsplice {
namespace {

bool is_hop_by_hop(HeaderId id) {
  switch (id) {
    case HeaderId::connection:
    case HeaderId::keep_alive:
    case HeaderId::proxy_connection:
    case HeaderId::te:
    case HeaderId::transfer_encoding:
    case HeaderId::upgrade:
      return true;
    default:
      return false;
  }
}

// What stands behind the status, without the blank before and the line end after it.
std::string_view reason_of(const MessageHead& head) {
  const std::string_view bytes(head.base_, head.length);
  const std::string_view line = bytes.substr(0, bytes.find('\r'));
  const size_t start = std::string_view("HTTP/1.1 200 ").size();
  return line.size() > start ? line.substr(start) : std::string_view();
}

}  // namespace

void append_field(Buffer& out, std::string_view name, std::string_view value) {
  out.append(name);
  out.append(": ");
  out.append(value);
  out.append("\r\n");
}

void append_fields(Buffer& out, const MessageHead& head, const FieldSummary& summary,
                   const HeaderEdits& edits, bool keep_length, bool keep_forwarding) {
  for (const HeaderField& field : head.fields) {
    if (is_hop_by_hop(field.id)) continue;
    if (field.id == HeaderId::host && summary.host_count > 0) continue;
    if (field.id == HeaderId::content_length && !keep_length) continue;
    if (!keep_forwarding && is_forwarding_field(field.id)) continue;
    const std::string_view name = head.name(field);
    // Connection may name any field but those that frame and route the message, and those that say who the client is.
    const bool nominable =
        field.id != HeaderId::host && field.id != HeaderId::content_length && !is_forwarding_field(field.id);
    if (nominable && !summary.listed.empty() && summary.lists(name)) continue;
    if (edits.replaces(name)) continue;
    append_field(out, name, head.value(field));
  }
}

void append_edits(Buffer& out, const HeaderEdits& edits, const TemplateValues& values) {
  std::string value;
  for (const HeaderEdits::Set& entry : edits.set) {
    value.clear();
    entry.value.append_to(value, values);
    append_field(out, entry.name, value);
  }
}

bool is_valid_status_line(const MessageHead& head) {
  return head.status >= 100 && std::ranges::all_of(reason_of(head), [](char c) {
           return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
         });
}

void append_status_line(Buffer& out, const MessageHead& head) {
  std::array<char, 4> status{};
  std::to_chars(status.data(), status.data() + status.size(), head.status);
  out.append("HTTP/1.1 ");
  out.append({status.data(), 3});
  out.append(" ");
  out.append(reason_of(head));
  out.append("\r\n");
}

}  // namespace longsplice
