// A pipe of the kernel that holds bytes on their way from one socket to another.
#pragma once

#include <cstddef>
#include <memory>

#include "fd.h"

namespace longsplice {

class Pipe {
 public:
  // What it may hold. With the 64 KiB that a pipe has by default, splicing costs more than copying (docs/pipe-engine.md).
  static constexpr size_t kBytes = 512 * 1024;

  // nullptr when there can be none; `reason` says why in one word.
  static std::unique_ptr<Pipe> open(const char*& reason);
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe();

  int reader() const { return reader_.get(); }
  int writer() const { return writer_.get(); }
  size_t held() const { return held_; }
  void entered(size_t bytes) { held_ += bytes; }
  void left(size_t bytes) { held_ -= bytes; }

 private:
  Pipe() = default;

  Fd reader_;
  Fd writer_;
  size_t held_ = 0;
};

}  // namespace longsplice
