// The shared load table: one row of 64 bytes (one cache line) for each backend slot, in memory that all workers and
// the control plane see. `src/policy/load-layout.ts` is the other copy of this layout; a test compares them.
#pragma once

#include <atomic>
#include <cstdint>

namespace longsplice {

enum class LoadField : uint32_t {
  active,    // exchanges in flight, all workers
  eligible,  // 1 when the backend may be chosen
  weight,
  max_connections,  // exchanges at once, 0 = unlimited
  ewma_micros,      // time to the response head, exponentially weighted
  errors,           // wraps
  requests,         // wraps
  connections,      // open upstream connections
  health,
  // What backends report, plus 1; 0: not known.
  cpu,
  memory,
  io,
  tcp_connections,
  active_sockets,
  queue,
  utilization,
};

inline constexpr uint32_t kLoadRowFields = 16;

class LoadTable {
 public:
  // What `health` says of a backend that failed its checks.
  static constexpr int32_t kUnhealthy = 2;

  LoadTable() = default;
  // One row more than there are slots.
  LoadTable(int32_t* rows, uint32_t slots) : rows_(rows), slots_(slots) {}

  uint32_t slots() const { return slots_; }
  int32_t get(uint32_t slot, LoadField field) const {
    return at(slot, field).load(std::memory_order_relaxed);
  }
  int32_t add(uint32_t slot, LoadField field, int32_t delta) {
    return at(slot, field).fetch_add(delta, std::memory_order_relaxed) + delta;
  }

  // Takes a place among the exchanges in flight, unless the backend has as many as it may.
  bool acquire(uint32_t slot) {
    const int32_t limit = get(slot, LoadField::max_connections);
    if (add(slot, LoadField::active, 1) <= limit || limit == 0) return true;
    release(slot);
    return false;
  }
  void release(uint32_t slot) { add(slot, LoadField::active, -1); }

  // Another number when policies want to be asked again about targets that they have placed.
  int32_t placement() const {
    return std::atomic_ref<int32_t>(rows_[slots_ * kLoadRowFields]).load(std::memory_order_relaxed);
  }

  bool has_room(uint32_t slot) const {
    const int32_t limit = get(slot, LoadField::max_connections);
    return limit == 0 || get(slot, LoadField::active) < limit;
  }

  // One eighth of each new sample. Two workers that write at once lose a sample, which does no harm.
  void observe_head_time(uint32_t slot, uint64_t micros) {
    const int64_t sample = micros > INT32_MAX ? INT32_MAX : static_cast<int64_t>(micros);
    const int64_t old = get(slot, LoadField::ewma_micros);
    const int64_t next = old == 0 ? sample : old + (sample - old) / 8;
    at(slot, LoadField::ewma_micros).store(static_cast<int32_t>(next), std::memory_order_relaxed);
  }

 private:
  std::atomic_ref<int32_t> at(uint32_t slot, LoadField field) const {
    return std::atomic_ref<int32_t>(rows_[slot * kLoadRowFields + static_cast<uint32_t>(field)]);
  }

  int32_t* rows_ = nullptr;
  uint32_t slots_ = 0;
};

}  // namespace longsplice
