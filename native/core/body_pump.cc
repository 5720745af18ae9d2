#include "body_pump.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "head_writer.h"

namespace longsplice {

namespace {

constexpr size_t kScratchBytes = 64 * 1024;
constexpr int kReadsPerTurn = 16;

// One for each worker thread: chunked framing is taken apart here before it is sent on.
char* scratch() {
  thread_local const auto buffer = std::make_unique<char[]>(kScratchBytes);
  return buffer.get();
}

std::vector<std::string_view>& pieces() {
  thread_local std::vector<std::string_view> list;
  return list;
}

}  // namespace

void BodyPump::start(BodyFraming framing, uint64_t length, bool rechunk, HttpParser* parser,
                     const HeaderEdits* edits) {
  framing_ = framing;
  rechunk_ = rechunk;
  passage_.remaining = framing == BodyFraming::until_close ? Passage::kUntilClose : length;
  passage_.pipe.reset();
  passage_.handoff.reset();
  parser_ = parser;
  edits_ = edits;
  complete_ = framing == BodyFraming::none;
}

BodyPump::Status BodyPump::feed(std::string_view data, Stream& sink, size_t& used) {
  used = 0;
  if (complete_) return Status::complete;
  if (framing_ == BodyFraming::chunked) return feed_chunked(data, sink, used);
  used = std::min<uint64_t>(data.size(), passage_.remaining);
  pieces().clear();
  if (used > 0) pieces().push_back(data.substr(0, used));
  passage_.moved.copied += used;
  if (passage_.remaining != Passage::kUntilClose) passage_.remaining -= used;
  if (!send_pieces(sink)) return Status::sink_failed;
  complete_ = passage_.remaining == 0;
  return complete_ ? Status::complete : Status::source_empty;
}

std::optional<uint64_t> BodyPump::to_come() const {
  if (complete_) return 0;
  return framing_ == BodyFraming::length && !rechunk_ ? std::optional(passage_.remaining) : std::nullopt;
}

void BodyPump::skip(uint64_t linked, uint64_t relayed) {
  passage_.moved.linked += linked;
  passage_.moved.copied += relayed;
  consumed_ += linked + relayed;
  if (complete_) return;
  passage_.remaining -= linked + relayed;
  complete_ = passage_.remaining == 0;
}

BodyPump::Status BodyPump::feed_chunked(std::string_view data, Stream& sink, size_t& used) {
  pieces().clear();
  const ParseStatus status = parser_->parse_chunked(data, pieces(), used);
  // Nothing of a piece with bad framing goes on, and never the end: so the receiver cannot take the body for whole.
  if (status == ParseStatus::error) return Status::malformed;
  for (const std::string_view piece : pieces()) passage_.moved.copied += piece.size();
  if (!send_pieces(sink)) return Status::sink_failed;
  if (status == ParseStatus::need_more) return Status::source_empty;
  complete_ = true;
  return send_end(sink) ? Status::complete : Status::sink_failed;
}

BodyPump::Status BodyPump::run(Stream& source, Buffer& surplus, Stream& sink, Engine& engine) {
  if (complete_) return Status::complete;
  if (framing_ == BodyFraming::chunked || rechunk_) return run_in_pieces(source, surplus, sink);
  const uint64_t before = passage_.taken();
  const MoveResult result = engine.move(source, sink, passage_);
  consumed_ += passage_.taken() - before;
  switch (result) {
    case MoveResult::done:
      complete_ = true;
      return Status::complete;
    case MoveResult::source_empty:
      return Status::source_empty;
    case MoveResult::sink_full:
      return Status::sink_full;
    case MoveResult::turn_over:
      return Status::turn_over;
    case MoveResult::away:
      return Status::away;
    case MoveResult::source_closed:
      return source_ended(sink);
    case MoveResult::source_failed:
      return Status::source_failed;
    case MoveResult::sink_failed:
      return Status::sink_failed;
  }
  return Status::source_failed;
}

BodyPump::Status BodyPump::run_in_pieces(Stream& source, Buffer& surplus, Stream& sink) {
  for (int reads = 0; reads < kReadsPerTurn; reads++) {
    if (!sink.flush()) return Status::sink_failed;
    if (sink.blocked()) return Status::sink_full;
    size_t received = 0;
    switch (source.receive(scratch(), kScratchBytes, received)) {
      case Stream::Read::data:
        break;
      case Stream::Read::would_block:
        return Status::source_empty;
      case Stream::Read::closed:
        return source_ended(sink);
      case Stream::Read::failed:
        return Status::source_failed;
    }
    consumed_ += received;
    size_t used = 0;
    const Status status = feed({scratch(), received}, sink, used);
    if (status == Status::complete) surplus.append({scratch() + used, received - used});
    if (status != Status::source_empty) return status;
  }
  return Status::turn_over;
}

BodyPump::Status BodyPump::source_ended(Stream& sink) {
  if (framing_ != BodyFraming::until_close) return Status::truncated;
  complete_ = true;
  return send_end(sink) ? Status::complete : Status::sink_failed;
}

// All pieces of one read become one chunk, however the sender had cut them.
bool BodyPump::send_pieces(Stream& sink) {
  const auto& list = pieces();
  if (list.empty()) return true;
  thread_local std::vector<iovec> vector;
  vector.clear();
  std::array<char, 20> size_line;
  if (rechunk_) {
    uint64_t total = 0;
    for (const std::string_view piece : list) total += piece.size();
    char* end = std::to_chars(size_line.data(), size_line.data() + 16, total, 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    vector.push_back({size_line.data(), static_cast<size_t>(end - size_line.data())});
  }
  for (const std::string_view piece : list) {
    vector.push_back({const_cast<char*>(piece.data()), piece.size()});
  }
  if (rechunk_) vector.push_back({const_cast<char*>("\r\n"), 2});
  return sink.send(vector);
}

bool BodyPump::send_end(Stream& sink) {
  if (!rechunk_) return true;
  Buffer& output = sink.output();
  output.append("0\r\n");
  if (parser_ != nullptr) append_trailers(output);
  output.append("\r\n");
  return sink.flush();
}

void BodyPump::append_trailers(Buffer& output) const {
  for (const auto& [name, value] : parser_->trailers()) {
    if (edits_ != nullptr && edits_->replaces(name)) continue;
    append_field(output, name, value);
  }
}

}  // namespace longsplice
