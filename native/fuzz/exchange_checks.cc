#include "exchange_checks.h"

#include <algorithm>
#include <charconv>

#include "../core/field_summary.h"
#include "../core/http_parser.h"
#include "../core/text.h"
#include "fuzz.h"

namespace longsplice::fuzz {
namespace {

struct Request {
  std::string method;
  std::string target;  // origin-form
  std::vector<std::pair<std::string, std::string>> fields;
  std::string content;
  uint64_t length = 0;
  bool chunked = false;
  bool whole = false;  // `content` is all of it
  bool upgrade = false;
};

std::string origin_form(std::string_view target, std::string_view method) {
  const size_t scheme = target.find("://");
  if (target.starts_with('/') || scheme == std::string_view::npos) return std::string(target);
  const std::string_view rest = target.substr(scheme + 3);
  const size_t path = std::min(rest.find_first_of("/?"), rest.size());
  if (path == rest.size() && method == "OPTIONS") return "*";
  return (rest.substr(path).starts_with('/') ? "" : "/") + std::string(rest.substr(path));
}

// Fills in what follows a head with that framing, and returns how long it is.
size_t read_content(std::string_view bytes, Request& request) {
  if (!request.chunked) {
    request.content = bytes.substr(0, request.length);
    request.whole = request.content.size() == request.length;
    return request.content.size();
  }
  ReferenceBody body;
  request.whole = read_reference_chunks(bytes, body) == Verdict::valid;
  request.content = body.content;
  return request.whole ? body.length : bytes.size();
}

// What the client asked for, one request after the other, up to the first that is malformed or incomplete.
std::vector<Request> requests_of_client(std::string_view bytes) {
  std::vector<Request> requests;
  while (!bytes.empty()) {
    HttpParser parser;
    MessageHead head;
    parser.start(HttpParser::Kind::request, &head, {2048, 24});
    if (parser.parse_head(bytes.data(), 0, bytes.size()) != ParseStatus::complete) break;
    const FieldSummary summary = summarize_fields(head);
    Request request;
    request.method = llhttp::llhttp_method_name(head.method);
    request.target = origin_form(head.text(head.target), request.method);
    for (const HeaderField& field : head.fields)
      request.fields.emplace_back(head.name(field), head.value(field));
    request.length = summary.length;
    request.chunked = summary.chunked;
    bytes.remove_prefix(head.length);
    bytes.remove_prefix(read_content(bytes, request));
    requests.push_back(std::move(request));
    if (summary.error != nullptr || !requests.back().whole) break;
  }
  return requests;
}

uint64_t number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc{} && end == text.data() + text.size(), "a length is a number", text);
  return value;
}

// Reads the framing that the head declares, and refuses every head that could be read in two ways.
void read_framing(const ReferenceHead& head, bool& chunked, bool& has_length, uint64_t& length) {
  const auto lengths = head.all("content-length");
  const auto codings = head.all("transfer-encoding");
  require(lengths.size() + codings.size() <= 1, "a written head has at most one framing", head.start_line);
  chunked = !codings.empty();
  require(!chunked || codings.front() == "chunked", "the only transfer coding that is written is chunked");
  has_length = !lengths.empty();
  length = has_length ? number(lengths.front()) : 0;
}

// The next request on a backend's connection, or false at its end.
bool take_request(std::string_view& bytes, Request& request) {
  ReferenceHead head;
  const Verdict verdict = read_reference_head(bytes, head);
  require(verdict != Verdict::invalid, "a backend gets valid heads", bytes);
  if (verdict == Verdict::incomplete) return false;
  require(is_text(head.start_line), "a request line is text", bytes);
  const size_t first = head.start_line.find(' ');
  const size_t last = head.start_line.rfind(' ');
  require(first < last && head.start_line.substr(last) == " HTTP/1.1", "a request line has three parts",
          bytes);
  request.method = head.start_line.substr(0, first);
  request.target = head.start_line.substr(first + 1, last - first - 1);
  require(request.target.find(' ') == std::string::npos, "a target has no spaces", request.target);
  require(head.all("host").size() == 1, "a backend gets exactly one Host field", bytes);
  request.fields = head.fields;
  request.upgrade = !head.all("upgrade").empty();
  bool has_length = false;
  read_framing(head, request.chunked, has_length, request.length);
  bytes.remove_prefix(head.length);
  bytes.remove_prefix(read_content(bytes, request));
  return true;
}

// Fields that the proxy writes itself.
bool is_own_field(std::string_view name) {
  static constexpr std::string_view kOwn[] = {
      "host",     "connection",      "upgrade",           "transfer-encoding",
      "x-set",    "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
      "forwarded"};
  return std::ranges::any_of(kOwn, [&](std::string_view own) { return own == name; });
}

bool same_request(const Request& got, const Request& sent) {
  if (got.method != sent.method || got.target != sent.target || got.chunked != sent.chunked) return false;
  if (got.length != sent.length || !sent.content.starts_with(got.content)) return false;
  if (got.whole && (!sent.whole || got.content != sent.content)) return false;
  return std::ranges::all_of(got.fields, [&](const auto& field) {
    return is_own_field(field.first) || std::ranges::find(sent.fields, field) != sent.fields.end();
  });
}

int status_of(const ReferenceHead& head, std::string_view bytes) {
  const std::string_view line = head.start_line;
  require(is_text(line), "a status line is text", bytes);
  require(line.starts_with("HTTP/1.1 ") && line.size() >= 12, "a status line begins with the version", bytes);
  const auto status = static_cast<int>(number(line.substr(9, 3)));
  require(status >= 100 && (line.size() == 12 || line[12] == ' '), "a status has three digits", line);
  return status;
}

// Skips the body of a response; false when it goes on to the end of the connection.
bool skip_body(std::string_view& bytes, const ReferenceHead& head, int status, std::string_view method) {
  bool chunked = false;
  bool has_length = false;
  uint64_t length = 0;
  read_framing(head, chunked, has_length, length);
  if (status < 200 || status == 204 || status == 304 || method == "HEAD") return true;
  if (chunked) {
    ReferenceBody body;
    const Verdict verdict = read_reference_chunks(bytes, body);
    require(verdict != Verdict::invalid, "a client gets valid chunks", bytes);
    bytes.remove_prefix(verdict == Verdict::valid ? body.length : bytes.size());
    return true;
  }
  if (!has_length) return false;
  bytes.remove_prefix(std::min<uint64_t>(length, bytes.size()));
  return true;
}

}  // namespace

void check_backends(std::string_view sent_by_client, const std::vector<std::string_view>& received) {
  const std::vector<Request> sent = requests_of_client(sent_by_client);
  for (std::string_view bytes : received) {
    auto from = sent.begin();
    for (;;) {
      const std::string_view before = bytes;
      Request got;
      if (bytes.empty() || !take_request(bytes, got)) break;
      from =
          std::find_if(from, sent.end(), [&](const Request& request) { return same_request(got, request); });
      require(from != sent.end(), "a backend gets what the client sent, in its order", before);
      ++from;
      // What follows may be another protocol.
      if (got.upgrade) break;
    }
  }
}

void check_client(std::string_view sent_by_client, std::string_view received) {
  const std::vector<Request> sent = requests_of_client(sent_by_client);
  for (size_t index = 0; !received.empty();) {
    ReferenceHead head;
    const Verdict verdict = read_reference_head(received, head);
    require(verdict != Verdict::invalid, "a client gets valid heads", received);
    if (verdict == Verdict::incomplete) return;
    const int status = status_of(head, received);
    received.remove_prefix(head.length);
    if (status == 101) return;
    const std::string method = index < sent.size() ? sent[index].method : "GET";
    if (!skip_body(received, head, status, method)) return;
    if (status >= 200) index++;
  }
}

}  // namespace longsplice::fuzz
