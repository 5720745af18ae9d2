// One direction of one message body: takes it off the source as its framing says and puts it on the sink in the
// framing that was announced there.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "../engine/engine.h"
#include "field_summary.h"
#include "header_rules.h"
#include "http_parser.h"
#include "stream.h"

namespace longsplice {

class BodyPump {
 public:
  enum class Status : uint8_t {
    complete,
    source_empty,
    sink_full,
    turn_over,
    away,
    truncated,  // the source ended inside the body
    malformed,  // bad chunk framing
    source_failed,
    sink_failed,
  };

  // `parser` has read the head and is used for chunked bodies only. `rechunk`: the sink gets chunks too.
  // `edits`: the route's, which hold for trailers as well.
  void start(BodyFraming framing, uint64_t length, bool rechunk, HttpParser* parser,
             const HeaderEdits* edits);
  // Everything until the source closes, unframed (after a 101).
  void start_tunnel() { start(BodyFraming::until_close, 0, false, nullptr, nullptr); }

  // Uses the leading bytes of `data` that belong to this body; `used` says how many.
  Status feed(std::string_view data, Stream& sink, size_t& used);

  // Goes on from the source. Bytes beyond the end of a chunked body go into `surplus`.
  Status run(Stream& source, Buffer& surplus, Stream& sink, Engine& engine);

  // How many bytes are still to come, where the framing tells.
  std::optional<uint64_t> to_come() const;
  // So many of them went past this process, and so many were copied elsewhere.
  void skip(uint64_t linked, uint64_t relayed);

  bool complete() const { return complete_; }
  BodyFraming framing() const { return framing_; }
  // Bytes of body content that were given to a sink, since this object was made.
  const ByteCount& moved() const { return passage_.moved; }
  uint64_t bytes() const { return passage_.moved.total(); }
  // Bytes that were taken off the source wait for the sink elsewhere than in its output.
  bool holds_bytes() const { return passage_.held() > 0; }
  uint64_t given_to_sink() const { return consumed_ - passage_.held(); }
  // With `away`.
  uint64_t look_again_ms() const { return passage_.look_again_ms; }
  // Why bytes were copied that another engine should have carried; or nullptr.
  const char* fallback() const { return passage_.fallback; }
  // Bytes that `run` took off the source, chunk framing included.
  uint64_t consumed() const { return consumed_; }

 private:
  Status feed_chunked(std::string_view data, Stream& sink, size_t& used);
  Status run_in_pieces(Stream& source, Buffer& surplus, Stream& sink);
  Status source_ended(Stream& sink);
  bool send_pieces(Stream& sink);
  bool send_end(Stream& sink);
  void append_trailers(Buffer& output) const;

  BodyFraming framing_ = BodyFraming::none;
  bool rechunk_ = false;
  bool complete_ = true;
  Passage passage_;
  uint64_t consumed_ = 0;
  HttpParser* parser_ = nullptr;
  const HeaderEdits* edits_ = nullptr;
};

}  // namespace longsplice
