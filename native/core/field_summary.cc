#include "field_summary.h"

#include <algorithm>
#include <charconv>

#include "text.h"

namespace longsplice {
namespace {

void read_connection(std::string_view value, FieldSummary& summary) {
  for_each_token(value, [&](std::string_view token) {
    if (iequals(token, "close")) {
      summary.close = true;
    } else if (iequals(token, "keep-alive")) {
      summary.keep_alive = true;
    } else if (iequals(token, "upgrade")) {
      summary.connection_upgrade = true;
    } else {
      summary.listed.push_back(token);
    }
  });
}

void read_keep_alive(std::string_view value, FieldSummary& summary) {
  for_each_token(value, [&](std::string_view token) {
    constexpr std::string_view kTimeout = "timeout=";
    if (token.size() <= kTimeout.size() || !iequals(token.substr(0, kTimeout.size()), kTimeout)) return;
    token.remove_prefix(kTimeout.size());
    std::from_chars(token.data(), token.data() + token.size(), summary.keep_alive_seconds);
  });
}

// llhttp has refused signs, blanks, repetition and overflow already; this reads the digits.
void read_content_length(std::string_view value, FieldSummary& summary) {
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), summary.length);
  if (error != std::errc{} || end != value.data() + value.size() || summary.has_length) {
    summary.error = "invalid Content-Length";
  }
  summary.has_length = true;
}

void read_transfer_encoding(std::string_view value, FieldSummary& summary) {
  if (!iequals(value, "chunked") || summary.chunked) summary.error = "unknown Transfer-Encoding";
  summary.chunked = true;
}

}  // namespace

FieldSummary summarize_fields(const MessageHead& head) {
  FieldSummary summary;
  for (const HeaderField& field : head.fields) {
    const std::string_view value = head.value(field);
    switch (field.id) {
      case HeaderId::connection:
        read_connection(value, summary);
        break;
      case HeaderId::content_length:
        read_content_length(value, summary);
        break;
      case HeaderId::transfer_encoding:
        read_transfer_encoding(value, summary);
        break;
      case HeaderId::host:
        summary.host = value;
        summary.host_count++;
        break;
      case HeaderId::upgrade:
        summary.upgrade = value;
        break;
      case HeaderId::keep_alive:
        read_keep_alive(value, summary);
        break;
      case HeaderId::expect:
        summary.expect_continue = iequals(value, "100-continue");
        break;
      default:
        break;
    }
  }
  if (summary.chunked && summary.has_length) summary.error = "both Content-Length and Transfer-Encoding";
  // RFC 9112, 6.1: HTTP/1.0 knows no transfer codings, so the framing is in doubt.
  if (summary.chunked && head.minor == 0) summary.error = "Transfer-Encoding in an HTTP/1.0 message";
  return summary;
}

bool FieldSummary::lists(std::string_view name) const {
  return std::ranges::any_of(listed, [&](std::string_view token) { return iequals(token, name); });
}

BodyFraming request_framing(const FieldSummary& fields) {
  if (fields.chunked) return BodyFraming::chunked;
  return fields.length > 0 ? BodyFraming::length : BodyFraming::none;
}

BodyFraming response_framing(const FieldSummary& fields, uint16_t status, bool to_head) {
  if (to_head || status < 200 || status == 204 || status == 304) return BodyFraming::none;
  if (fields.chunked) return BodyFraming::chunked;
  if (!fields.has_length) return BodyFraming::until_close;
  return fields.length > 0 ? BodyFraming::length : BodyFraming::none;
}

bool persists(const MessageHead& head, const FieldSummary& fields) {
  if (fields.close) return false;
  return head.minor >= 1 || fields.keep_alive;
}

}  // namespace longsplice
