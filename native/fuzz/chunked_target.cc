// Chunked bodies: the content, the end, the trailers and the verdict do not depend on how the bytes arrive, and what
// is accepted is what the reference reads.
#include <algorithm>

#include "../core/http_parser.h"
#include "../core/message_head.h"
#include "fuzz.h"

namespace longsplice::fuzz {
namespace {

constexpr HeadLimits kLimits{1024, 24};
constexpr std::string_view kRequest = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view kResponse = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

using Trailers = std::vector<std::pair<std::string, std::string>>;

struct Reading {
  ParseStatus status = ParseStatus::need_more;
  std::string content;
  Trailers trailers;
  size_t used = 0;
};

template <typename NextLength>
Reading read_chunks(bool request, std::string_view bytes, NextLength next_length) {
  HttpParser parser;
  MessageHead head;
  const std::string_view start = request ? kRequest : kResponse;
  parser.start(request ? HttpParser::Kind::request : HttpParser::Kind::response, &head, kLimits);
  require(parser.parse_head(start.data(), 0, start.size()) == ParseStatus::complete,
          "the fixed head is read");
  Reading reading;
  std::vector<std::string_view> pieces;
  while (reading.used < bytes.size() && reading.status == ParseStatus::need_more) {
    const Exact received(bytes.substr(reading.used, next_length()));
    size_t used = 0;
    pieces.clear();
    reading.status = parser.parse_chunked(received.view(), pieces, used);
    require(used <= received.view().size(), "no more is used than was received");
    for (const std::string_view piece : pieces) {
      require(piece.data() >= received.data() &&
                  piece.data() + piece.size() <= received.data() + received.view().size(),
              "a piece lies in what was received");
      reading.content.append(piece);
    }
    reading.used += used;
  }
  reading.trailers = parser.trailers();
  return reading;
}

Trailers expected_trailers(const ReferenceBody& body) {
  Trailers expected;
  for (const auto& [name, value] : body.trailers) {
    if (classify_header(name) == HeaderId::other) expected.emplace_back(name, value);
  }
  return expected;
}

}  // namespace

int chunked_target(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const bool request = data[0] & 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Reading whole = read_chunks(request, bytes, [&] { return bytes.size(); });
  Cuts cuts(data[1]);
  const Reading pieces = read_chunks(request, bytes, [&] { return cuts.next(); });
  require(whole.status == pieces.status, "a body in pieces gets the verdict of the whole", bytes);
  require(whole.content == pieces.content, "a body in pieces has the content of the whole", bytes);
  ReferenceBody reference;
  const Verdict verdict = read_reference_chunks(bytes, reference);
  if (whole.status == ParseStatus::need_more) {
    require(verdict == Verdict::incomplete, "what is waited for can still become valid", bytes);
    require(whole.content == reference.content, "the content so far is that of the reference", bytes);
  }
  if (whole.status != ParseStatus::complete) return 0;
  require(verdict == Verdict::valid, "an accepted body is valid", bytes);
  require(whole.used == pieces.used && whole.used == reference.length,
          "the body ends where the reference ends it", bytes);
  require(whole.content == reference.content, "the content is that of the reference", bytes);
  require(whole.trailers == pieces.trailers && whole.trailers == expected_trailers(reference),
          "the trailers are those of the reference", bytes);
  return 0;
}

}  // namespace longsplice::fuzz
