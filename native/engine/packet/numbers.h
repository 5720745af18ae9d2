// Sequence numbers, and numbers that the programs in the kernel read and write at the same time.
#pragma once

#include <cstdint>

namespace longsplice::packet {

inline bool after(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) > 0; }

// The programs read these while they run.
inline uint32_t load(const uint32_t& number) { return __atomic_load_n(&number, __ATOMIC_SEQ_CST); }
inline void store(uint32_t& number, uint32_t value) { __atomic_store_n(&number, value, __ATOMIC_SEQ_CST); }
inline bool exchange(uint32_t& number, uint32_t from, uint32_t to) {
  return __atomic_compare_exchange_n(&number, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
inline void raise(uint32_t& number, uint32_t to) {
  uint32_t now = load(number);
  while (after(to, now) && !exchange(number, now, to)) now = load(number);
}

}  // namespace longsplice::packet
