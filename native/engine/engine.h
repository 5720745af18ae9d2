// Who moves the bytes between two sockets. An engine carries an exact number of bytes, or everything until the source
// ends; what the bytes mean is the caller's business.
#pragma once

#include <cstdint>

namespace longsplice {

class Stream;

enum class MoveResult : uint8_t {
  done,           // `remaining` bytes have been moved
  source_empty,   // go on when the source is readable
  sink_full,      // go on when the sink is writable
  turn_over,      // there is more; let the others have their turn first
  source_closed,  // orderly end (FIN) before `remaining` bytes
  source_failed,
  sink_failed,
};

class Engine {
 public:
  static constexpr uint64_t kUntilClose = UINT64_MAX;

  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;

  // The word for logs and metrics.
  virtual const char* name() const = 0;

  // Moves up to `remaining` bytes (kUntilClose: all there are) and subtracts them from it; adds them to `moved`.
  virtual MoveResult move(Stream& source, Stream& sink, uint64_t& remaining, uint64_t& moved) = 0;
};

}  // namespace longsplice
