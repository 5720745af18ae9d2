// ICMP errors about packets that a link sent on. They come to the proxy, whose address is in those packets, and are about
// packets of the link's other end; so they go there, translated back into what it sent.
#ifndef LONGSPLICE_ICMP_BPF_H
#define LONGSPLICE_ICMP_BPF_H

#include "rewrite.bpf.h"
#include "state.bpf.h"

// linux/icmp.h and linux/icmpv6.h need headers of a C library. Both begin with type, code, checksum and four bytes more.
#define LS_ICMP_HEADER 8
#define LS_ICMP_CHECK 2
#define LS_ICMP_UNREACHABLE 3  // code 4 is "fragmentation needed"
#define LS_ICMPV6_UNREACHABLE 1
#define LS_ICMPV6_TOO_BIG 2

// What an error tells of the segment that it is about. Behind the first eight bytes of the TCP header it may end
// anywhere (RFC 792; RFC 1812, 4.3.2.3; RFC 4443, 2.4). All this shares 512 bytes of stack with the program that calls.
struct quote {
  struct ls_key key;  // of the socket that the segment came from, as its remote end sees it
  __be32 words[2];    // ports, seq
  __u32 ip;           // offset of the quoted IP header from the beginning of the frame
  __u32 tcp;          // ... of the quoted TCP header
  __u32 end;          // ... of what is behind the quote
};

static __always_inline int read_quote_v4(struct __sk_buff* skb, struct quote* q) {
  struct iphdr ip;
  __u8 type;
  if (bpf_skb_load_bytes(skb, LS_L2, &ip, sizeof(ip)) < 0) return 0;
  if (ip.ihl < 5 || ip.protocol != IPPROTO_ICMP || (ip.frag_off & bpf_htons(0x3fff)) != 0) return 0;
  const __u32 icmp = LS_L2 + ip.ihl * 4;
  q->end = LS_L2 + bpf_ntohs(ip.tot_len);
  if (bpf_skb_load_bytes(skb, icmp, &type, 1) < 0 || type != LS_ICMP_UNREACHABLE) return 0;
  q->ip = icmp + LS_ICMP_HEADER;
  if (bpf_skb_load_bytes(skb, q->ip, &ip, sizeof(ip)) < 0) return 0;
  if (ip.version != 4 || ip.ihl < 5 || ip.protocol != IPPROTO_TCP) return 0;
  // Only the first fragment has the ports.
  if ((ip.frag_off & bpf_htons(0x1fff)) != 0) return 0;
  q->tcp = q->ip + ip.ihl * 4;
  map_v4(q->key.local, ip.saddr);
  map_v4(q->key.remote, ip.daddr);
  return 1;
}

static __always_inline int read_quote_v6(struct __sk_buff* skb, struct quote* q) {
  struct ipv6hdr ip;
  __u8 type;
  const __u32 icmp = LS_L2 + sizeof(ip);
  if (bpf_skb_load_bytes(skb, LS_L2, &ip, sizeof(ip)) < 0 || ip.nexthdr != IPPROTO_ICMPV6) return 0;
  q->end = icmp + bpf_ntohs(ip.payload_len);
  if (bpf_skb_load_bytes(skb, icmp, &type, 1) < 0) return 0;
  if (type != LS_ICMPV6_UNREACHABLE && type != LS_ICMPV6_TOO_BIG) return 0;
  q->ip = icmp + LS_ICMP_HEADER;
  if (bpf_skb_load_bytes(skb, q->ip, &ip, sizeof(ip)) < 0) return 0;
  if (ip.version != 6 || ip.nexthdr != IPPROTO_TCP) return 0;
  if (is_mapped((const __be32*)&ip.saddr) || is_mapped((const __be32*)&ip.daddr)) return 0;
  q->tcp = q->ip + sizeof(ip);
  __builtin_memcpy(q->key.local, &ip.saddr, 16);
  __builtin_memcpy(q->key.remote, &ip.daddr, 16);
  return 1;
}

static __always_inline int read_quote(struct __sk_buff* skb, struct quote* q) {
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    if (!read_quote_v4(skb, q)) return 0;
  } else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
    if (!read_quote_v6(skb, q)) return 0;
  } else {
    return 0;
  }
  if (q->tcp + sizeof(q->words) > q->end || q->end > skb->len) return 0;
  if (bpf_skb_load_bytes(skb, q->tcp, q->words, sizeof(q->words)) < 0) return 0;
  q->key.local_port = ((const __be16*)q->words)[0];
  q->key.remote_port = ((const __be16*)q->words)[1];
  return 1;
}

// At most an address. Adds what changed to `sum`.
static __always_inline int replace_words(struct __sk_buff* skb, __u32 at, const __be32* words, __u32 bytes,
                                         __u32* sum) {
  __be32 was[4];
  if (bpf_skb_load_bytes(skb, at, was, bytes) < 0) return 0;
  *sum = bpf_csum_diff(was, bytes, (__be32*)words, bytes, *sum);
  return bpf_skb_store_bytes(skb, at, words, bytes, 0) == 0;
}

// Of the IP header at `ip`. `sum` becomes what changed for checksums of others; that of the header itself stays right.
static __always_inline int replace_addresses(struct __sk_buff* skb, __u32 ip, const __be32* source,
                                             const __be32* target, __u32* sum) {
  if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
    const __u32 at = ip + __builtin_offsetof(struct ipv6hdr, saddr);
    return replace_words(skb, at, source, 16, sum) && replace_words(skb, at + 16, target, 16, sum);
  }
  const __u32 at = ip + __builtin_offsetof(struct iphdr, saddr);
  const __u32 check = ip + __builtin_offsetof(struct iphdr, check);
  if (!replace_words(skb, at, source + 3, 4, sum) || !replace_words(skb, at + 4, target + 3, 4, sum))
    return 0;
  return bpf_l3_csum_replace(skb, check, 0, *sum, 0) == 0;
}

// Gives the quoted segment another number and, with `sender`, which is the socket that it came to, the addresses that it
// came with. Its acknowledgement and its options stay: nobody finds a connection by them.
static __always_inline int change_quote(struct __sk_buff* skb, const struct quote* q,
                                        const struct ls_key* sender, __u32 seq) {
  __be32 words[2] = {q->words[0], bpf_htonl(seq)};
  __u32 outer = 0, quoted = 0, numbers = 0;
  if (sender) {
    if (!replace_addresses(skb, LS_L2, sender->local, sender->remote, &outer)) return 0;
    if (!replace_addresses(skb, q->ip, sender->remote, sender->local, &quoted)) return 0;
    ((__be16*)words)[0] = sender->remote_port;
    ((__be16*)words)[1] = sender->local_port;
  }
  if (!replace_words(skb, q->tcp, words, sizeof(words), &numbers)) return 0;

  // The quoted headers are covered by checksums of their own, which are quoted as well. So what ICMP adds up changes
  // less than they do: addresses of IPv4 and the checksum of their header cancel out.
  __u64 sum = numbers;
  if (skb->protocol == bpf_htons(ETH_P_IPV6)) sum += (__u64)outer + quoted;
  const __u32 check = q->tcp + __builtin_offsetof(struct tcphdr, check);
  if (check + 2 <= q->end) {
    const __u32 change = sum_fold((__u64)quoted + numbers);
    if (bpf_l4_csum_replace(skb, check, 0, change, 0) < 0) return 0;
    sum += (__u32)~change;
  }
  const __u32 icmp_check = q->ip - LS_ICMP_HEADER + LS_ICMP_CHECK;
  return bpf_l4_csum_replace(skb, icmp_check, 0, sum_fold(sum), 0) == 0;
}

static __noinline int arrive_error(struct __sk_buff* skb, int on_loopback) {
  struct quote q;
  if (!read_quote(skb, &q)) return NEXT;
  const __u32* index = bpf_map_lookup_elem(&sockets, &q.key);
  if (!index) return NEXT;
  __u32 at = *index;
  const struct ls_record* r = bpf_map_lookup_elem(&records, &at);
  if (!r) return NEXT;
  const __u32 state = phase_of(r) & LS_STATE;
  __u32 seq = bpf_ntohl(q.words[1]);
  const struct ls_record* peer = NULL;
  // What the stack of a parked socket sent itself, it has to send again itself.
  const int own = before(r->local_acked, r->local_snd) && before(seq, r->local_snd + r->adv_out);
  if (state == LS_LOCAL || (state == LS_LINKED && own)) {
    if (r->adv_out == 0) return NEXT;
    seq -= r->adv_out;
  } else if (state == LS_LINKED) {
    at = r->peer;
    peer = bpf_map_lookup_elem(&records, &at);
    if (!peer) {
      count(LS_COUNT_bad_peer);
      return DROP;
    }
    seq -= peer->delta_seq;
  } else {
    return NEXT;
  }
  // The error comes from the proxy's own address then, not from that of a router: it is the one address that the end
  // talks to already, so no filter on the way back calls it forged, and what is behind the proxy stays there.
  if (!change_quote(skb, &q, peer ? &peer->key : NULL, seq)) {
    count(LS_COUNT_bad_packet);
    return DROP;
  }
  count(peer ? LS_COUNT_icmp : LS_COUNT_local_in);
  return peer ? send_on(skb, peer, on_loopback) : NEXT;
}

#endif
