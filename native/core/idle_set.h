// The reusable upstream connections of one worker, by backend slot. The one used last is taken first, so that surplus
// ones grow old and are closed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace longsplice {

class Upstream;

class IdleSet {
 public:
  static constexpr size_t kPerBackend = 256;
  // Shorter than the idle limit of the servers in common use (nginx 75 s, Apache httpd and Node say theirs in a
  // Keep-Alive field), so that it is we who close.
  static constexpr uint64_t kMaxIdleMs = 55'000;

  // False when the backend has enough of them.
  bool add(Upstream& upstream);
  void remove(Upstream& upstream);
  Upstream* take(uint32_t slot);
  void close_slot(uint32_t slot);
  void close_all();
  std::vector<uint32_t> slots() const;
  size_t size() const { return size_; }

 private:
  std::unordered_map<uint32_t, std::vector<Upstream*>> by_slot_;
  size_t size_ = 0;
};

}  // namespace longsplice
