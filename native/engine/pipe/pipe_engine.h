// Moves large bodies with splice(2): the kernel hands the pages from one socket by a pipe to the other, and nobody
// copies them. What is not worth a pipe, or finds none, is left to a lesser engine.
//
// A direction has a pipe only while bytes of it are in there. So a worker needs one, and more only for sinks that are
// full; bytes of one connection are never in the pipe of another, and a pipe that did not become empty is closed.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "../engine.h"

namespace longsplice {

class PipeEngine final : public Engine {
 public:
  // A pipe is for bodies of which at least `least` bytes are still to come, or of which nobody knows the end and so many
  // have come.
  PipeEngine(uint64_t least, std::unique_ptr<Engine> lesser) : least_(least), lesser_(std::move(lesser)) {}
  MoveResult move(Stream& source, Stream& sink, Passage& passage) override;

 private:
  bool worth_a_pipe(const Passage& passage) const;
  bool provide_pipe(Passage& passage);
  MoveResult splice(Stream& source, Stream& sink, Passage& passage) const;

  uint64_t least_;
  std::unique_ptr<Engine> lesser_;
  std::unique_ptr<Pipe> spare_;  // empty
};

// Carries a byte through a pipe. nullptr, or in one word why that cannot be.
const char* pipe_obstacle();

}  // namespace longsplice
