// Changing a TCP segment in place, with checksums corrected by the difference (RFC 1624), so that the payload is never
// read and a packet that the card is yet to segment stays whole.
#ifndef LONGSPLICE_REWRITE_BPF_H
#define LONGSPLICE_REWRITE_BPF_H

#include "packet.bpf.h"

// What a segment is to become.
struct rewrite {
  const __be32* source;  // NULL: addresses and ports stay
  const __be32* target;
  __be16 source_port;
  __be16 target_port;
  __u32 seq;
  __u32 ack;
  __u16 window;
  __u8 flags;
  __u32 tsval;
  __u32 tsecr;
  __u32 sack_delta;
};

// A sum of 32-bit words in one's complement; carries gather in the upper half.
static __always_inline void sum_change(__u64* sum, __be32 from, __be32 to) {
  *sum += (__u32)~from;
  *sum += to;
}
static __always_inline __u32 sum_fold(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  return (__u32)((sum & 0xffffffff) + (sum >> 32));
}
static __always_inline __u16 fold_to_16(__u64 sum) {
  __u32 folded = sum_fold(sum);
  folded = (folded & 0xffff) + (folded >> 16);
  return (__u16)((folded & 0xffff) + (folded >> 16));
}
// Words at an odd offset count with their bytes swapped (RFC 1071, 2(B)).
static __always_inline void sum_change_at(__u64* sum, __u32 offset, __be32 from, __be32 to) {
  if (offset & 1) {
    from = (from << 8) | (from >> 24);
    to = (to << 8) | (to >> 24);
  }
  sum_change(sum, from, to);
}

// Blocks name bytes of the other direction, so they move with the acknowledgement (RFC 2018).
static __always_inline int move_sack(struct __sk_buff* skb, const struct packet* p, __u32 delta, __u64* sum) {
  for (__u32 i = 0; i < 4; i++) {
    if (i * 8 + 8 > p->sack_bytes) break;
    __be32 edges[2], moved[2];
    const __u32 at = p->sack + i * 8;
    if (bpf_skb_load_bytes(skb, at, edges, 8) < 0) return 0;
    moved[0] = bpf_htonl(bpf_ntohl(edges[0]) + delta);
    moved[1] = bpf_htonl(bpf_ntohl(edges[1]) + delta);
    sum_change_at(sum, at - p->l4, edges[0], moved[0]);
    sum_change_at(sum, at - p->l4, edges[1], moved[1]);
    if (bpf_skb_store_bytes(skb, at, moved, 8, 0) < 0) return 0;
  }
  return 1;
}

static __always_inline int rewrite_addresses(struct __sk_buff* skb, struct packet* p,
                                             const struct rewrite* to) {
  const __u32 check = p->l4 + __builtin_offsetof(struct tcphdr, check);
  __u64 sum = 0;
  for (int i = 0; i < 4; i++) {
    sum_change(&sum, p->source[i], to->source[i]);
    sum_change(&sum, p->target[i], to->target[i]);
  }
  const __u32 change = sum_fold(sum);
  if (p->family == LS_AF_INET) {
    const __be32 pair[2] = {to->source[3], to->target[3]};
    if (pair[0] == p->source[3] && pair[1] == p->target[3]) return 1;
    const __u32 ip_check = LS_L2 + __builtin_offsetof(struct iphdr, check);
    if (bpf_skb_store_bytes(skb, LS_L2 + __builtin_offsetof(struct iphdr, saddr), pair, 8, 0) < 0) return 0;
    if (bpf_l3_csum_replace(skb, ip_check, 0, change, 0) < 0) return 0;
    return bpf_l4_csum_replace(skb, check, 0, change, BPF_F_PSEUDO_HDR) == 0;
  }
  const __u32 addresses = LS_L2 + __builtin_offsetof(struct ipv6hdr, saddr);
  if (bpf_skb_store_bytes(skb, addresses, to->source, 16, 0) < 0) return 0;
  if (bpf_skb_store_bytes(skb, addresses + 16, to->target, 16, 0) < 0) return 0;
  if (bpf_l4_csum_replace(skb, check, 0, change, BPF_F_PSEUDO_HDR) < 0) return 0;
  // A complete checksum from the card covers the addresses of IPv6 as well, so change and correction cancel out in
  // it; the helper before 6.16 takes the correction off nevertheless. Fails, rightly, if there is no such checksum.
  bpf_csum_update(skb, change);
  return 1;
}

// After it, `p` is stale.
static __always_inline int rewrite_packet(struct __sk_buff* skb, struct packet* p, const struct rewrite* to) {
  const __u32 check = p->l4 + __builtin_offsetof(struct tcphdr, check);
  if (to->source && !rewrite_addresses(skb, p, to)) return 0;

  __u64 sum = 0;
  __be32 words[4];
  words[0] = p->words[0];
  if (to->source) {
    ((__be16*)words)[0] = to->source_port;
    ((__be16*)words)[1] = to->target_port;
  }
  words[1] = bpf_htonl(to->seq);
  words[2] = bpf_htonl(to->ack);
  words[3] = bpf_htonl((bpf_ntohl(p->words[3]) & 0xff000000) | ((__u32)to->flags << 16) | to->window);
  for (int i = 0; i < 4; i++) sum_change(&sum, p->words[i], words[i]);
  if (bpf_skb_store_bytes(skb, p->l4, words, 16, 0) < 0) return 0;

  if (p->timestamps != 0) {
    const __be32 pair[2] = {bpf_htonl(to->tsval), bpf_htonl(to->tsecr)};
    sum_change_at(&sum, p->timestamps - p->l4, p->tsval, pair[0]);
    sum_change_at(&sum, p->timestamps - p->l4, p->tsecr, pair[1]);
    if (bpf_skb_store_bytes(skb, p->timestamps, pair, 8, 0) < 0) return 0;
  }
  if (p->sack_bytes != 0 && !move_sack(skb, p, to->sack_delta, &sum)) return 0;
  return bpf_l4_csum_replace(skb, check, 0, sum_fold(sum), 0) == 0;
}

#endif
