#include "copy_engine.h"

#include <algorithm>
#include <cstddef>

#include "../../core/stream.h"

namespace longsplice {

namespace {
constexpr size_t kBufferBytes = 128 * 1024;
constexpr size_t kBytesPerTurn = 1024 * 1024;
}  // namespace

CopyEngine::CopyEngine() : buffer_(std::make_unique<char[]>(kBufferBytes)) {}
CopyEngine::~CopyEngine() = default;

MoveResult CopyEngine::move(Stream& source, Stream& sink, Passage& passage) {
  size_t this_turn = 0;
  while (passage.remaining > 0) {
    if (!sink.flush()) return MoveResult::sink_failed;
    if (sink.blocked()) return MoveResult::sink_full;
    if (this_turn >= kBytesPerTurn) return MoveResult::turn_over;
    size_t received = 0;
    switch (source.receive(buffer_.get(), std::min<uint64_t>(passage.remaining, kBufferBytes), received)) {
      case Stream::Read::data:
        break;
      case Stream::Read::would_block:
        return MoveResult::source_empty;
      case Stream::Read::closed:
        return MoveResult::source_closed;
      case Stream::Read::failed:
        return MoveResult::source_failed;
    }
    this_turn += received;
    passage.moved.copied += received;
    if (passage.remaining != Passage::kUntilClose) passage.remaining -= received;
    const iovec piece{buffer_.get(), received};
    if (!sink.send({&piece, 1})) return MoveResult::sink_failed;
  }
  return MoveResult::done;
}

}  // namespace longsplice
