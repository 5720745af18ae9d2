// The engine that is always there: recv into one buffer of the worker, send from it. It takes new bytes only when the
// sink took the old ones, so a slow reader costs at most one such buffer and slows its writer down.
#pragma once

#include <memory>

#include "../engine.h"

namespace longsplice {

class CopyEngine final : public Engine {
 public:
  CopyEngine();
  ~CopyEngine() override;
  const char* name() const override { return "copy"; }
  MoveResult move(Stream& source, Stream& sink, uint64_t& remaining, uint64_t& moved) override;

 private:
  std::unique_ptr<char[]> buffer_;
};

}  // namespace longsplice
