#include <algorithm>

#include "../core/text.h"
#include "fuzz.h"

namespace longsplice::fuzz {
namespace {

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// Takes one line off the front. A line ends in CRLF; CR and LF occur nowhere else.
Verdict take_line(std::string_view& bytes, std::string_view& line) {
  const size_t end = bytes.find_first_of("\r\n");
  if (end == std::string_view::npos) return Verdict::incomplete;
  if (bytes[end] == '\n') return Verdict::invalid;
  if (end + 1 == bytes.size()) return Verdict::incomplete;
  if (bytes[end + 1] != '\n') return Verdict::invalid;
  line = bytes.substr(0, end);
  bytes.remove_prefix(end + 2);
  return Verdict::valid;
}

// Field lines up to and including the empty one.
Verdict take_fields(std::string_view& bytes, std::vector<std::pair<std::string, std::string>>& fields) {
  for (;;) {
    std::string_view line;
    const Verdict verdict = take_line(bytes, line);
    if (verdict != Verdict::valid || line.empty()) return verdict;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return Verdict::invalid;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim_ows(line.substr(colon + 1));
    if (!is_token(name) || !is_text(value)) return Verdict::invalid;
    fields.emplace_back(name, value);
  }
}

}  // namespace

bool is_text(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

std::vector<std::string> ReferenceHead::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : fields) {
    if (iequals(key, name)) values.push_back(value);
  }
  return values;
}

Verdict read_reference_head(std::string_view bytes, ReferenceHead& head) {
  std::string_view rest = bytes;
  // RFC 9112, 2.2: a recipient should ignore empty lines before a request line.
  while (rest.starts_with("\r\n")) rest.remove_prefix(2);
  std::string_view line;
  const Verdict verdict = take_line(rest, line);
  if (verdict != Verdict::valid) return verdict;
  head.start_line = line;
  const Verdict fields = take_fields(rest, head.fields);
  head.length = bytes.size() - rest.size();
  return fields;
}

Verdict read_reference_chunks(std::string_view bytes, ReferenceBody& body) {
  std::string_view rest = bytes;
  for (;;) {
    std::string_view line;
    const Verdict verdict = take_line(rest, line);
    if (verdict != Verdict::valid) return verdict;
    const size_t digits = std::min(line.find_first_not_of("0123456789abcdefABCDEF"), line.size());
    const std::string_view extension = line.substr(digits);
    if (digits == 0 || !is_text(extension)) return Verdict::invalid;
    if (!extension.empty() && !trim_ows(extension).empty() && !trim_ows(extension).starts_with(';')) {
      return Verdict::invalid;
    }
    const std::string_view significant = line.substr(0, digits);
    const size_t zeros = std::min(significant.find_first_not_of('0'), digits);
    if (digits - zeros > 16) return Verdict::invalid;
    const uint64_t size =
        zeros == digits ? 0 : std::stoull(std::string(significant.substr(zeros)), nullptr, 16);
    if (size == 0) break;
    body.content.append(rest.substr(0, size));
    if (rest.size() < size) return Verdict::incomplete;
    rest.remove_prefix(size);
    if (!std::string_view("\r\n").starts_with(rest.substr(0, 2))) return Verdict::invalid;
    if (rest.size() < 2) return Verdict::incomplete;
    rest.remove_prefix(2);
  }
  const Verdict verdict = take_fields(rest, body.trailers);
  body.length = bytes.size() - rest.size();
  return verdict;
}

}  // namespace longsplice::fuzz
