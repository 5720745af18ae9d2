// Who moves the bytes between two sockets. An engine carries an exact number of bytes, or everything until the source
// ends; what the bytes mean is the caller's business.
#pragma once

#include <cstdint>
#include <memory>

#include "../core/pipe.h"

namespace longsplice {

class Stream;

enum class MoveResult : uint8_t {
  done,          // `remaining` bytes have been moved
  source_empty,  // go on when the source is readable
  sink_full,     // go on when the sink is writable
  turn_over,     // there is more; let the others have their turn first
  away,  // bytes pass elsewhere, and no event tells how far they are: look again after `look_again_ms`
  source_closed,  // orderly end (FIN) before `remaining` bytes
  source_failed,
  sink_failed,
};

// Bytes that were given to a sink, by who moved them.
struct ByteCount {
  uint64_t copied = 0;
  uint64_t piped = 0;
  uint64_t redirected = 0;  // from one socket to the other, by the kernel
  uint64_t linked = 0;      // past this process
  uint64_t total() const { return copied + piped + redirected + linked; }
};

// A part of a body that the kernel moves from one socket to another by itself, as long as this object lives.
class Handoff {
 public:
  Handoff() = default;
  Handoff(const Handoff&) = delete;
  Handoff& operator=(const Handoff&) = delete;
  virtual ~Handoff() = default;
  // Bytes that were taken off the source, and not yet given to the sink.
  uint64_t held() const { return held_; }

 protected:
  uint64_t held_ = 0;
};

// Bytes on their way in one direction: what is still to be taken off the source, and what became of those that were.
struct Passage {
  static constexpr uint64_t kUntilClose = UINT64_MAX;

  uint64_t remaining = 0;  // kUntilClose: all there are
  ByteCount moved;
  std::unique_ptr<Pipe> pipe;        // while it holds bytes
  std::unique_ptr<Handoff> handoff;  // while it stands
  uint64_t copy_until = 0;           // a pipe is not worth it before so many bytes were copied
  uint64_t look_again_ms = 0;
  // Why bytes were copied that another engine should have carried, in one word.
  const char* fallback = nullptr;

  uint64_t held() const { return (pipe ? pipe->held() : 0) + (handoff ? handoff->held() : 0); }
  uint64_t taken() const { return moved.total() + held(); }
};

class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;

  // Moves what it can. It reports an end of the source when all that came before has been given to the sink.
  virtual MoveResult move(Stream& source, Stream& sink, Passage& passage) = 0;
};

}  // namespace longsplice
