// The programs compiled for this machine, and the helpers that they call. Shared by C and C++.
#ifndef LONGSPLICE_PROGRAM_HOST_H
#define LONGSPLICE_PROGRAM_HOST_H

#include <linux/bpf.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int (*host_program)(struct __sk_buff*);
extern const host_program host_programs[3];
extern void *const host_sockets,
    *const host_records, *const host_counters, *const host_rings, *const host_judges,
                                                                      *const host_rule_set,
                                                                          *const host_scratch,
                                                                              *const host_paths,
                                                                                  *const host_names,
                                                                                      *const host_places,
                                                                                          *const host_workers;
// A value of `scratch`.
__u32 host_scratch_bytes(void);
// What `skb->tc_index` says of packets that a program sends on: to be let pass, or a copy for a stack.
__u16 host_translated(void);
__u16 host_stack_copy(void);

long host_load_bytes(const void* skb, __u32 offset, void* to, __u32 length);
long host_store_bytes(void* skb, __u32 offset, const void* from, __u32 length, __u64 flags);
long host_l3_csum_replace(void* skb, __u32 offset, __u64 from, __u64 to, __u64 size);
long host_l4_csum_replace(void* skb, __u32 offset, __u64 from, __u64 to, __u64 flags);
long host_csum_diff(const __be32* from, __u32 from_size, const __be32* to, __u32 to_size, __u32 seed);
long host_csum_update(void* skb, __u32 sum);
long host_csum_level(void* skb, __u64 level);
long host_change_tail(void* skb, __u32 length, __u64 flags);
long host_clone_redirect(void* skb, __u32 interface, __u64 flags);
long host_redirect(__u32 interface, __u64 flags);
long host_redirect_neigh(__u32 interface, const void* parameters, int length, __u64 flags);
void* host_map_lookup(void* map, const void* key);
long host_map_delete(void* map, const void* key);
__u64 host_ring_query(void* ring, __u64 flags);
long host_ring_output(void* ring, void* data, __u64 size, __u64 flags);
void* host_ring_reserve(void* ring, __u64 size, __u64 flags);
void host_ring_discard(void* reserved, __u64 flags);
__u64 host_time_ns(void);

#ifdef __cplusplus
}
#endif

#endif
