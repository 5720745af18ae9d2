// The maps, the counters, the events and the verdicts.
#ifndef LONGSPLICE_STATE_BPF_H
#define LONGSPLICE_STATE_BPF_H

#include <linux/pkt_cls.h>

#include "packet.bpf.h"

#define LS_LOOPBACK 1

// Others may have programs here as well.
#define NEXT TC_ACT_UNSPEC
#define DROP TC_ACT_SHOT

// Sizes are set by the loader.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct ls_key);
  __type(value, __u32);
} sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct ls_record);
} records SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, LS_COUNTER_MAX);
  __type(key, __u32);
  __type(value, __u64);
} counters SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct ls_judge);
} judges SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct ls_rules);
} rule_set SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct ls_path_key);
  __type(value, struct ls_path);
} paths SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1);
  __type(key, struct ls_place_key);
  __type(value, __u32);
} places SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, __u64);
  __type(value, __u32);
} names SEC(".maps");

// Bytes of a packet, while they are being looked at.
struct bytes {
  char text[LS_HEAD_BYTES];
  __u64 zero;
  __u32 sized;
  __u8 header[64];
};
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct bytes);
} scratch SEC(".maps");

struct ring {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, LS_RING_BYTES);
};

// One ring for each worker.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 1);
  __type(key, __u32);
  __array(values, struct ring);
} rings SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct ls_worker);
} workers SEC(".maps");

// Packets that a program sends on pass other programs of ours on their way. tc_index tells those what was done; a mark
// would take part in the routing, and in the rules of others. Different for each process.
const volatile __u16 translated = 1;  // let it pass
const volatile __u16 stack_copy = 2;  // what remains for the parked socket's stack is its header

// What is allowed in a target that passes: 1 in path and query, 2 in the query only.
static const __u8 target_bytes[256] SEC(".rodata.bytes") = {
    ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1, ['0' ... '9'] = 1, ['-'] = 1,         ['.'] = 1, ['_'] = 1,
    ['~'] = 1,         ['!'] = 1,         ['$'] = 1,         ['&' ... ','] = 1, ['/'] = 1, [':'] = 1,
    [';'] = 1,         ['='] = 1,         ['@'] = 1,         ['%'] = 2,         ['?'] = 2,
};
// n bytes of ones and then zeros, at place 63 - n.
static const __u8 path_mask[64 + LS_PATH_BYTES] SEC(".rodata.bytes") = {[0 ... 62] = 0xff};

static __always_inline int send_on(struct __sk_buff* skb, const struct ls_record* peer, int on_loopback) {
  // From lo to lo the packet has a route already, and one that leads to the other end as well as to this.
  if (on_loopback && peer->ifindex == LS_LOOPBACK) return NEXT;
  skb->tc_index = translated;
  return bpf_redirect_neigh(peer->ifindex, NULL, 0, 0);
}

// Takes a packet away while its sender believes that it was sent. To drop it on lo would tell the sender's stack, which keeps
// the segment as one that it has never sent (tcp_write_xmit); a redirection to no interface says that all went well.
static __always_inline int take_away(void) { return bpf_redirect(0, 0); }

static __always_inline void count(__u32 counter) {
  __u64* value = bpf_map_lookup_elem(&counters, &counter);
  if (value) *value += 1;
}

// A call is an interrupt of this processor, 5 us on a virtual one: so it is made for those who sleep, once. After an output,
// which is a full barrier, as there is one between going to sleep and the last look at the ring.
static __always_inline void call(__u32 index, void* ring) {
  struct ls_worker* worker = bpf_map_lookup_elem(&workers, &index);
  if (!worker || !*(volatile __u32*)&worker->asleep || !__sync_lock_test_and_set(&worker->asleep, 0)) return;
  // The reader skips it.
  void* nothing = bpf_ringbuf_reserve(ring, sizeof(struct ls_event), 0);
  if (nothing)
    bpf_ringbuf_discard(nothing, BPF_RB_FORCE_WAKEUP);
  else
    worker->asleep = 1;
}

static __always_inline void tell(const struct ls_record* r, __u32 index, __u32 kind) {
  const __u32 worker = r->worker;
  void* ring = bpf_map_lookup_elem(&rings, &worker);
  struct ls_event event = {.record = index, .kind = kind};
  if (!ring || bpf_ringbuf_output(ring, &event, sizeof(event), BPF_RB_NO_WAKEUP) < 0)
    count(LS_COUNT_lost_events);
  else
    call(worker, ring);
}

// Requests that have passed are read many at a time: the reader looks by itself, and is called when much waits.
static __always_inline void tell_passed(const struct ls_record* r, struct ls_judge* j) {
  const __u32 worker = r->worker;
  const __u32 zero = 0;
  void* ring = bpf_map_lookup_elem(&rings, &worker);
  const struct ls_rules* rules = bpf_map_lookup_elem(&rule_set, &zero);
  if (!ring || !rules) return;
  __u32 text = 0;
  if (rules->detail == LS_DETAIL_TARGET) text = j->head_method + 4 + j->target_length;
  if (rules->detail == LS_DETAIL_HEAD) text = j->request_end - j->request_begin;
  if (j->passed.route == LS_RETURNS) text = 0;
  if (text > LS_HEAD_MAX) text = LS_HEAD_MAX;
  asm volatile("%0 &= 2047" : "+r"(text));
  j->passed.text = text;
  if (bpf_ringbuf_output(ring, &j->passed, sizeof(j->passed) + text, BPF_RB_NO_WAKEUP) < 0)
    count(LS_COUNT_lost_requests);
  if (bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > LS_RING_BYTES / 4) call(worker, ring);
}

static __always_inline __u32 phase_of(const struct ls_record* r) { return *(const volatile __u32*)&r->phase; }

// Numbers of where a link begins mean nothing any more when it has come far: they are compared modulo 2^32.
static __always_inline int is_young(const struct ls_record* r) { return r->bytes < (1u << 30); }

// Whoever holds a link lets go of it at once, unless it is interrupted: a packet that waits that long need not come again,
// which can take its sender 200 ms.
#define LS_SPINS 64
// Global, so that the verifier looks at the loop once and not for each caller: Linux 6.1 gives up on that.
__noinline __u32 settled_phase(const struct ls_record* r) {
  if (!r) return 0;
  __u32 phase = phase_of(r);
  for (int i = 0; i < LS_SPINS && (phase & LS_STATE) == LS_RESUMING; i++) phase = phase_of(r);
  return phase;
}

// The first to end a link tells it.
static __always_inline void end_link(struct ls_record* r, struct ls_record* peer, __u32 index, __u32 kind) {
  if (__sync_fetch_and_or(&r->ends, LS_OVER) & LS_OVER) return;
  if (__sync_fetch_and_or(&peer->ends, LS_OVER) & LS_OVER) return;
  if (kind == LS_EVENT_RESET) count(LS_COUNT_resets);
  if (kind == LS_EVENT_FINISHED) count(LS_COUNT_finished);
  tell(r, index, kind);
}

static __always_inline struct ls_judge* judge_of(const struct ls_record* r) {
  const __u32 index = r->judge;
  return bpf_map_lookup_elem(&judges, &index);
}

// Raises a number that only grows. Packets of one direction can be on two processors at once.
static __always_inline void raise(__u32* number, __u32 to) {
  for (int i = 0; i < 4; i++) {
    const __u32 now = *(volatile __u32*)number;
    if (!after(to, now)) return;
    if (__sync_val_compare_and_swap(number, now, to) == now) return;
  }
}

#endif
