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
  MoveResult move(Stream& source, Stream& sink, Passage& passage) override;

 private:
  std::unique_ptr<char[]> buffer_;
};

}  // namespace longsplice
