// Heads of requests and responses: reading them in pieces gives what reading them whole gives, what is accepted is
// what the reference reads, and everything that is derived from a head keeps its own promises.
#include <algorithm>

#include "../core/field_summary.h"
#include "../core/forwarding.h"
#include "../core/http_parser.h"
#include "../core/router.h"
#include "../core/text.h"
#include "fuzz.h"

namespace longsplice::fuzz {
namespace {

constexpr HeadLimits kLimits{2048, 24};

struct Reading {
  ParseStatus status = ParseStatus::need_more;
  std::string target;
  std::vector<std::pair<std::string, std::string>> fields;
  uint32_t length = 0;
  uint16_t code = 0;
  uint8_t method = 0;
  uint8_t major = 0;
  uint8_t minor = 0;

  bool operator==(const Reading&) const = default;
};

template <typename NextLength>
Reading read_head(HttpParser::Kind kind, std::string_view bytes, NextLength next_length,
                  void (*inspect)(const MessageHead&) = nullptr) {
  HttpParser parser;
  MessageHead head;
  parser.start(kind, &head, kLimits);
  Reading reading;
  std::vector<Exact> received;
  for (size_t from = 0; from < bytes.size() && reading.status == ParseStatus::need_more;) {
    const size_t to = from + std::min(next_length(), bytes.size() - from);
    // The receive buffer may move whenever it grows; the old one is then gone.
    received.clear();
    received.emplace_back(bytes.substr(0, to));
    reading.status = parser.parse_head(received.back().data(), from, to);
    from = to;
  }
  if (reading.status != ParseStatus::complete) return reading;
  reading.target = head.text(head.target);
  for (const HeaderField& field : head.fields) {
    reading.fields.emplace_back(head.name(field), head.value(field));
  }
  reading.length = head.length;
  reading.code = head.status;
  reading.method = head.method;
  reading.major = head.major;
  reading.minor = head.minor;
  if (inspect != nullptr) inspect(head);
  return reading;
}

void inspect_path(std::string_view path) {
  std::string storage;
  const std::string normal = std::string(normalize_path(path, storage));
  if (!path.starts_with('/')) return;
  require(normal.starts_with('/') || normal.empty(), "a normalized path begins with a slash", normal);
  const std::string padded = normal + "/";
  require(padded.find("/./") == std::string::npos && padded.find("/../") == std::string::npos,
          "a normalized path has no dot segments", normal);
}

// What a trusted proxy says of the client is continued; the result must be fields still.
void inspect_forwarding(const MessageHead& head, std::string_view host) {
  static const ForwardingRules rules = [] {
    ForwardingRules all{
        .active = true, .write_for = true, .write_proto = true, .write_host = true, .write_forwarded = true};
    all.trusted.add("10.0.0.0/8");
    return all;
  }();
  const auto client = original_client(head, rules);
  require(!client || client->host().find_first_not_of("0123456789abcdef.:") == std::string::npos,
          "an original client is an address");
  Buffer written;
  written.append("GET / HTTP/1.1\r\n");
  append_forwarding_fields(written, head, rules, {.peer = "10.1.2.3", .host = host, .peer_trusted = true},
                           {});
  written.append("\r\n");
  ReferenceHead reference;
  require(
      read_reference_head(written.view(), reference) == Verdict::valid && reference.length == written.size(),
      "forwarding fields are fields", written.view());
  const bool host_known = !host.empty() || std::ranges::any_of(head.fields, [](const HeaderField& field) {
    return field.id == HeaderId::x_forwarded_host && field.value_length > 0;
  });
  require(reference.fields.size() == (host_known ? 4 : 3), "each forwarding field is written once",
          written.view());
}

void inspect(const MessageHead& head) {
  const FieldSummary summary = summarize_fields(head);
  if (summary.error == nullptr) {
    require(!(summary.chunked && summary.has_length), "no message with two framings is accepted");
    const BodyFraming framing = request_framing(summary);
    require((framing == BodyFraming::chunked) == summary.chunked,
            "a chunked request is framed by its chunks");
    require((framing == BodyFraming::length) == (summary.length > 0 && !summary.chunked),
            "a request with a length is framed by it");
    require(response_framing(summary, 304, false) == BodyFraming::none, "a 304 has no body");
  }
  std::string storage;
  const std::string_view host = normalize_host(summary.host, storage);
  require(lowercase(host) == host, "a normalized host has no capitals", host);
  inspect_forwarding(head, summary.host);
  const std::string_view target = head.text(head.target);
  inspect_path(target.substr(0, target.find('?')));
  for (const HeaderField& field : head.fields) {
    const std::string_view value = head.value(field);
    require(trim_ows(value) == value, "a value has no blanks around it", value);
    require(glob_matches("*", value), "an asterisk matches everything", value);
    const std::string inside = "*" + std::string(value.substr(value.size() / 2)) + "*";
    require(glob_matches(inside, value), "a part between asterisks matches", value);
    require(head.find(lowercase(head.name(field))) != nullptr, "a field is found by its name");
  }
}

}  // namespace

int head_target(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto kind = data[0] & 1 ? HttpParser::Kind::request : HttpParser::Kind::response;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Reading whole = read_head(
      kind, bytes, [&] { return bytes.size(); }, inspect);
  Cuts cuts(data[1]);
  require(whole == read_head(kind, bytes, [&] { return cuts.next(); }), "a head in pieces is the head",
          bytes);
  // An exchange refuses every version but HTTP/1, so the parser may take HTTP/0.9 as it likes.
  if (whole.status != ParseStatus::complete || whole.major != 1) return 0;
  ReferenceHead reference;
  const Verdict verdict = read_reference_head(bytes, reference);
  require(verdict == Verdict::valid, "an accepted head is valid", bytes);
  require(reference.length == whole.length, "the head ends where the reference ends it", bytes);
  require(reference.fields == whole.fields, "the fields are those of the reference", bytes);
  return 0;
}

}  // namespace longsplice::fuzz
