// The kernel hands packets that arrive at one socket to another, as long as they lie within what was ordered, to the byte.
// All others go to user space as ever. docs/sockmap-engine.md tells the whole.
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "handoff.h"

// Sizes are set by the loader. The keys are cookies of sockets, which are never given to another.

// What arrives at these is looked at.
struct {
  __uint(type, BPF_MAP_TYPE_SOCKHASH);
  __uint(max_entries, 1);
  __type(key, __u64);
  __type(value, __u64);
} sources SEC(".maps");

// These can be given something.
struct {
  __uint(type, BPF_MAP_TYPE_SOCKHASH);
  __uint(max_entries, 1);
  __type(key, __u64);
  __type(value, __u64);
} sinks SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __type(key, __u64);
  __type(value, __u32);
} places SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct ls_handoff);
} handoffs SEC(".maps");

// As the kernel has them; where the members really are is filled in when the program is loaded.
struct tcp_skb_cb {
  __u32 seq;
} __attribute__((preserve_access_index));
struct tcp_sock {
  __u32 copied_seq;
} __attribute__((preserve_access_index));
struct sk_buff {
  struct tcp_sock* sk;
  char cb[48];
} __attribute__((preserve_access_index));

// What bpf_skb_adjust_room takes off at a time, and how often that is more than any packet has: those that wait in a queue
// are joined to one of up to half a megabyte.
#define LONGEST_TRIM 0xfff
#define MOST_TRIMS 256

static __always_inline struct ls_handoff* handoff_of(struct __sk_buff* skb) {
  const __u64 cookie = bpf_get_socket_cookie(skb);
  const __u32* place = bpf_map_lookup_elem(&places, &cookie);
  return place ? bpf_map_lookup_elem(&handoffs, place) : 0;
}

// Number of the packet's first byte.
static __always_inline __u32 first_number(struct __sk_buff* skb) {
  __u32 seq = 0;
  const void* at = (const void*)skb + bpf_core_field_offset(struct sk_buff, cb) +
                   bpf_core_field_offset(struct tcp_skb_cb, seq);
  bpf_probe_read_kernel(&seq, sizeof seq, at);
  return seq;
}

// Number of the first byte that user space has not read.
static __always_inline __u32 unread_number(struct __sk_buff* skb) {
  const void* sk = 0;
  __u32 seq = 0;
  bpf_probe_read_kernel(&sk, sizeof sk, (const void*)skb + bpf_core_field_offset(struct sk_buff, sk));
  bpf_probe_read_kernel(&seq, sizeof seq, sk + bpf_core_field_offset(struct tcp_sock, copied_seq));
  return seq;
}

struct trimming {
  struct __sk_buff* skb;
  __u32 bytes;
};

static long trim_some(__u32 round, void* context) {
  (void)round;
  struct trimming* t = context;
  const __u32 now = t->bytes < LONGEST_TRIM ? t->bytes : LONGEST_TRIM;
  if (now == 0 || bpf_skb_pull_data(t->skb, now) != 0) return 1;
  if (bpf_skb_adjust_room(t->skb, -(__s32)now, 0, 0) != 0) return 1;
  t->bytes -= now;
  return 0;
}

// The kernel gives whole packets to a verdict, also where a part of one was read before the socket was enrolled, or was in
// an earlier packet of which this one is a repetition and more. Returns 0 when that part is gone.
static __always_inline int trim(struct __sk_buff* skb, __u32 bytes) {
  struct trimming t = {skb, bytes};
  if (bytes > skb->len) return -1;
  bpf_loop(MOST_TRIMS, trim_some, &t, 0);
  return t.bytes == 0 ? 0 : -1;
}

// Runs with the socket locked.
SEC("sk_skb")
int hand_over(struct __sk_buff* skb) {
  struct ls_handoff* h = handoff_of(skb);
  if (!h) return SK_PASS;
  if (!h->begun) {
    h->begun = 1;
    h->next = unread_number(skb);
  }
  const __u32 repeated = h->next - first_number(skb);
  if (repeated != 0 && trim(skb, repeated) != 0) {
    h->damaged = 1;
    return SK_DROP;
  }
  const __u32 bytes = skb->len;
  h->next += bytes;
  if (h->left == 0) {
    const __u64 order = *(volatile __u64*)&h->order;
    if (order != 0 && (__u32)(order >> 32) == (__u32)h->seen) h->left = (__u32)order;
  }
  // A packet cannot be divided: the one in which the order ends goes to user space, and ends it.
  if (bytes == 0 || bytes > h->left || *(volatile __u32*)&h->halted) {
    h->left = 0;
    __sync_fetch_and_add(&h->seen, bytes);
    return SK_PASS;
  }
  h->left -= bytes;
  // In this order: who finds bytes that were seen and not redirected knows that they came to user space.
  __sync_fetch_and_add(&h->redirected, bytes);
  __sync_fetch_and_add(&h->seen, bytes);
  __u64 peer = h->peer;
  return bpf_sk_redirect_hash(skb, &sinks, &peer, 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
