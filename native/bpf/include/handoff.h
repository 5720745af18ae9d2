// What handoff.bpf.c and the sockmap engine share. Included by C (-target bpf) and by C++.
#ifndef LONGSPLICE_HANDOFF_H
#define LONGSPLICE_HANDOFF_H

#include <linux/types.h>

// Of an enrolled socket, and what may pass from it to another.
struct ls_handoff {
  // By user space. The next so many bytes are for `peer`, if they begin where the order says (LS_ORDER): user space cannot
  // know what arrives while it writes this. 0: none.
  __u64 order;
  __u64 peer;  // cookie of a socket
  // By the program.
  __u64 seen;        // bytes that arrived since the socket was enrolled
  __u64 redirected;  // of them
  __u32 left;        // of the order
  __u32 next;        // number of the next byte of the stream
  __u32 begun;       // `next` counts
  __u32 damaged;     // a packet had to be dropped: the stream cannot be saved
  __u32 halted;      // by user space: nothing is redirected any more
  __u32 unused;
};

#define LS_ORDER(from, bytes) ((__u64)(__u32)(from) << 32 | (__u32)(bytes))

#ifdef __cplusplus
static_assert(sizeof(ls_handoff) == 56);
#else
_Static_assert(sizeof(struct ls_handoff) == 56, "handoff.h is seen differently by two compilers");
#endif

#endif
