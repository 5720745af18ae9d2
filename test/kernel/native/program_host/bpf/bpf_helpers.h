// Takes the place of libbpf's header when the programs are compiled for this machine (program_host.c).
#ifndef LONGSPLICE_PROGRAM_HOST_HELPERS_H
#define LONGSPLICE_PROGRAM_HOST_HELPERS_H

#include <linux/bpf.h>
#include <stddef.h>

#include "../program_host.h"

#define SEC(name)
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
// Only the addresses of maps matter here.
#define __uint(name, value) int(*name)[value]
#define __type(name, value) value* name
#define __array(name, value) value* name[]

#define bpf_skb_load_bytes host_load_bytes
#define bpf_skb_store_bytes host_store_bytes
#define bpf_l3_csum_replace host_l3_csum_replace
#define bpf_l4_csum_replace host_l4_csum_replace
#define bpf_csum_diff host_csum_diff
#define bpf_csum_update host_csum_update
#define bpf_csum_level host_csum_level
#define bpf_skb_change_tail host_change_tail
#define bpf_clone_redirect host_clone_redirect
#define bpf_redirect host_redirect
#define bpf_redirect_neigh host_redirect_neigh
#define bpf_map_lookup_elem host_map_lookup
#define bpf_map_delete_elem host_map_delete
#define bpf_ringbuf_query host_ring_query
#define bpf_ringbuf_output host_ring_output
#define bpf_ringbuf_reserve host_ring_reserve
#define bpf_ringbuf_discard host_ring_discard
#define bpf_ktime_get_ns host_time_ns

// The programs have instructions of the other machine, written out, that tell its verifier what the compiler knows. They
// must not change anything; so they are left out here: `asm volatile(...)` becomes nothing.
#define asm
#define volatile(...)

#endif
