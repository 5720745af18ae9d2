// Has the kernel hand bodies of a known length from one socket to the other, by programs that run where the bytes arrive
// (sk_skb verdicts). What is not worth that, or cannot be, is left to a lesser engine; so is the last byte of each body,
// because it tells that all others have come.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "../engine.h"
#include "kernel.h"

namespace longsplice {

class SockmapEngine final : public Engine {
 public:
  // Bodies of which no less than `least` and no more than `most` bytes are still to come are handed over.
  SockmapEngine(uint64_t least, uint64_t most, std::shared_ptr<sockmap::Kernel> kernel,
                std::unique_ptr<Engine> lesser)
      : least_(std::max<uint64_t>(least, 2)),
        most_(most),
        kernel_(std::move(kernel)),
        lesser_(std::move(lesser)) {}
  MoveResult move(Stream& source, Stream& sink, Passage& passage) override;

 private:
  bool begin(Stream& source, Stream& sink, Passage& passage, MoveResult& result);
  std::unique_ptr<Handoff> hand_over(Stream& source, Stream& sink, Passage& passage);

  uint64_t least_;
  uint64_t most_;
  std::shared_ptr<sockmap::Kernel> kernel_;
  std::unique_ptr<Engine> lesser_;
};

}  // namespace longsplice
