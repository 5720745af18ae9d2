// The shared load table: one row of 128 bytes (two cache lines) for each backend slot, in memory that all workers and
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
  // The second line is not written unless somebody watches for outliers, or backends report their load.
  failures_from = 16,  // the least status that is a failure, 0: nobody watches
  successes,           // wraps
  failures,            // wraps
  failure_run,         // since the last success
  longest_run,         // since the control plane set it to 0
  // What backends report, plus 1; 0: not known. Native code has no part in it.
  cpu,
  memory,
  io,
  tcp_connections,
  active_sockets,
  queue,
  utilization,
  reports,  // wraps
};

inline constexpr uint32_t kLoadRowFields = 32;

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
    put(slot, LoadField::ewma_micros, static_cast<int32_t>(next));
  }

  // For those who watch for outliers: how an exchange with the backend went. Status 0: no proper answer. A run that two workers lengthen at once may be one short.
  void observe_result(uint32_t slot, uint32_t status) {
    const int32_t failures_from = get(slot, LoadField::failures_from);
    if (failures_from == 0) return;
    if (status != 0 && static_cast<int32_t>(status) < failures_from) {
      add(slot, LoadField::successes, 1);
      if (get(slot, LoadField::failure_run) != 0) put(slot, LoadField::failure_run, 0);
      return;
    }
    add(slot, LoadField::failures, 1);
    const int32_t run = add(slot, LoadField::failure_run, 1);
    if (run > get(slot, LoadField::longest_run)) put(slot, LoadField::longest_run, run);
  }

 private:
  void put(uint32_t slot, LoadField field, int32_t value) {
    at(slot, field).store(value, std::memory_order_relaxed);
  }
  std::atomic_ref<int32_t> at(uint32_t slot, LoadField field) const {
    return std::atomic_ref<int32_t>(rows_[slot * kLoadRowFields + static_cast<uint32_t>(field)]);
  }

  int32_t* rows_ = nullptr;
  uint32_t slots_ = 0;
};

}  // namespace longsplice
