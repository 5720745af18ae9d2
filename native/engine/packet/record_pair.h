// The two records of a link, as user space reads and changes them while the programs run.
#pragma once

#include <cstdint>
#include <ctime>

#include "../../bpf/include/abi.h"
#include "numbers.h"

namespace longsplice::packet {

inline uint32_t state_of(uint32_t phase) { return phase & LS_STATE; }
inline uint32_t in_state(uint32_t phase, ls_state state) { return (phase & ~uint32_t{LS_STATE}) | state; }

inline uint32_t real_rcv(const ls_record& record) { return record.local_rcv + record.adv_in; }
inline uint32_t real_snd(const ls_record& record) { return record.local_snd + record.adv_out; }

inline uint32_t stack_clock(const ls_record& record) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const uint64_t ns = static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  return record.ts_base + static_cast<uint32_t>((ns - record.ts_base_ns) / 1'000'000);
}

// The client's record first, as the programs do. False: traffic has returned already.
inline bool hold(ls_record& client, ls_record& backend) {
  for (;;) {
    const uint32_t phase = load(client.phase);
    if (state_of(phase) == LS_LOCAL) return false;
    // A program that holds it lets go within the packet that it is at.
    if (state_of(phase) != LS_LINKED || !exchange(client.phase, phase, in_state(phase, LS_RESUMING)))
      continue;
    store(backend.phase, in_state(phase, LS_RESUMING));
    return true;
  }
}

inline void let_go(ls_record& client, ls_record& backend, ls_state state) {
  store(backend.phase, in_state(backend.phase, state));
  store(client.phase, in_state(client.phase, state));
}

// Bytes that the remote end may send by what its own stack has said.
inline uint32_t room_of(const ls_record& record) {
  const auto open = static_cast<int32_t>(load(record.edge) - record.local_rcv);
  return open > 0 ? static_cast<uint32_t>(open) : 0;
}

// The numbers that the remote end would see if the socket spoke for itself again: what it sent, and what the other end sent
// to it, which may still wait in that one's socket.
inline void settle(ls_record& record, uint32_t received, uint32_t sent) {
  if (received != real_rcv(record)) record.given = received;
  record.adv_in = received - record.local_rcv;
  record.adv_out = sent - record.local_snd;
  const uint32_t clock = stack_clock(record) + record.ts_advance;
  if (after(record.last_tsval, clock)) record.ts_advance += record.last_tsval - clock;
}

// Its stack misses something before the last byte that it was given, or not all of that has been read.
inline bool is_behind(const ls_record& record) { return after(load(record.given), real_rcv(record)); }

// See resume.bpf.h.
inline bool must_wait(const ls_record& record) {
  return is_behind(record) && load(record.seq_next) != real_rcv(record);
}

inline bool everything_acknowledged(const ls_record& from, const ls_record& by) {
  return load(by.ack_seen) == load(from.seq_next) + from.delta_seq;
}

inline bool both_acknowledged(const ls_record& a, const ls_record& b) {
  return everything_acknowledged(a, b) && everything_acknowledged(b, a);
}

inline bool spent(const ls_record& record) {
  return (record.flags & LS_BUDGET) != 0 && !after(load(record.budget_end), load(record.seq_next));
}

}  // namespace longsplice::packet
