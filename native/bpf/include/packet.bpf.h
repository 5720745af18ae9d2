// Reading a TCP segment: what the programs need of it, in host byte order.
#ifndef LONGSPLICE_PACKET_BPF_H
#define LONGSPLICE_PACKET_BPF_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

#define LS_L2 ETH_HLEN
#define LS_AF_INET 2
#define LS_AF_INET6 10

#define LS_TCP_FIN 0x01
#define LS_TCP_SYN 0x02
#define LS_TCP_RST 0x04
#define LS_TCP_PSH 0x08
#define LS_TCP_ACK 0x10
#define LS_TCP_URG 0x20

#define LS_JUMBO_OPTION 0xc2
#define LS_NOP_LENGTH 62
#define LS_TCP_OPTION_SACK 5
#define LS_TCP_OPTION_TIMESTAMPS 8

static __always_inline int after(__u32 a, __u32 b) { return (__s32)(a - b) > 0; }
static __always_inline int before(__u32 a, __u32 b) { return (__s32)(a - b) < 0; }

struct packet {
  __be32 source[4];  // IPv4 is mapped
  __be32 target[4];
  // The first 16 bytes of the TCP header as they are on the wire: ports, seq, ack, offset + flags + window.
  __be32 words[4];
  __u32 l4;       // offset of the TCP header from the beginning of the frame
  __u32 headers;  // ... and of the payload
  __u32 payload;
  __u32 seq;
  __u32 ack;
  __u16 window;
  __u8 flags;
  __u8 family;
  // Offsets from the beginning of the frame; 0 if the segment has no such option.
  __u32 timestamps;
  __u32 sack;
  __u32 sack_bytes;
  __be32 tsval;
  __be32 tsecr;
  __u32 phase;  // of the record, when the packet was found to be for it
};

static __always_inline __be16 source_port(const struct packet* p) { return ((const __be16*)p->words)[0]; }
static __always_inline __be16 target_port(const struct packet* p) { return ((const __be16*)p->words)[1]; }

static __always_inline void map_v4(__be32 to[4], __be32 address) {
  to[0] = 0;
  to[1] = 0;
  to[2] = bpf_htonl(0xffff);
  to[3] = address;
}

static __always_inline int is_mapped(const __be32 address[4]) {
  return address[0] == 0 && address[1] == 0 && address[2] == bpf_htonl(0xffff);
}

// Everything but the options. False for all that cannot belong to a link: what is not TCP, and fragments.
static __always_inline int read_packet(struct __sk_buff* skb, struct packet* p) {
  __u32 total;
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    struct {
      struct iphdr ip;
      struct tcphdr tcp;
    } h;
    if (bpf_skb_load_bytes(skb, LS_L2, &h, sizeof(h)) < 0) return 0;
    if (h.ip.ihl < 5 || h.ip.protocol != IPPROTO_TCP || (h.ip.frag_off & bpf_htons(0x3fff)) != 0) return 0;
    p->family = LS_AF_INET;
    p->l4 = LS_L2 + h.ip.ihl * 4;
    total = bpf_ntohs(h.ip.tot_len);
    map_v4(p->source, h.ip.saddr);
    map_v4(p->target, h.ip.daddr);
    if (h.ip.ihl == 5)
      __builtin_memcpy(p->words, &h.tcp, 16);
    else if (bpf_skb_load_bytes(skb, p->l4, p->words, 16) < 0)
      return 0;
  } else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr ip;
    if (bpf_skb_load_bytes(skb, LS_L2, &ip, sizeof(ip)) < 0) return 0;
    p->family = LS_AF_INET6;
    p->l4 = LS_L2 + sizeof(ip);
    __u8 next = ip.nexthdr;
    if (next == IPPROTO_HOPOPTS) {
      // Packets beyond 64 KB (BIG TCP; lo makes them on 6.18) have one extension header, with their length in it.
      __u8 jumbo[8];
      if (bpf_skb_load_bytes(skb, p->l4, jumbo, sizeof(jumbo)) < 0) return 0;
      if (jumbo[1] != 0 || jumbo[2] != LS_JUMBO_OPTION) return 0;
      next = jumbo[0];
      p->l4 += sizeof(jumbo);
    }
    if (next != IPPROTO_TCP) return 0;
    // Where IPv4 is mapped, such addresses would find its records. The stack does not take them, either.
    if (is_mapped((const __be32*)&ip.saddr) || is_mapped((const __be32*)&ip.daddr)) return 0;
    total = bpf_ntohs(ip.payload_len);
    if (total != 0) total += sizeof(ip);
    __builtin_memcpy(p->source, &ip.saddr, 16);
    __builtin_memcpy(p->target, &ip.daddr, 16);
    if (bpf_skb_load_bytes(skb, p->l4, p->words, 16) < 0) return 0;
  } else {
    return 0;
  }
  // A length of 0 is that of a packet beyond 64 KB; others may have padding behind them.
  if (total == 0) total = skb->len - LS_L2;
  const __u32 last = bpf_ntohl(p->words[3]);
  p->headers = p->l4 + (last >> 28) * 4;
  // The stack throws away what cannot be, so no number of it may count.
  if (p->headers < p->l4 + sizeof(struct tcphdr) || p->headers > LS_L2 + total || LS_L2 + total > skb->len)
    return 0;
  p->payload = LS_L2 + total - p->headers;
  p->seq = bpf_ntohl(p->words[1]);
  p->ack = bpf_ntohl(p->words[2]);
  p->flags = (last >> 16) & 0xff;
  p->window = last & 0xffff;
  p->timestamps = 0;
  p->sack = 0;
  p->sack_bytes = 0;
  return 1;
}

static __always_inline __u32 packet_end(const struct packet* p) {
  return p->seq + p->payload + ((p->flags & LS_TCP_FIN) != 0);
}

// Its length is in an extension header, and its header cannot be cut off from it: the next packet will do.
static __always_inline int is_jumbo(const struct packet* p) {
  return p->family == LS_AF_INET6 && p->l4 != LS_L2 + sizeof(struct ipv6hdr);
}

// The options that carry numbers of the connection. Segments of an established connection have at most NOP NOP
// timestamps, sometimes with NOP NOP SACK behind; the loop is for whoever orders them differently.
static __always_inline void read_options(struct __sk_buff* skb, struct packet* p) {
  __u8 options[64] = {};
  const __u32 begin = p->l4 + sizeof(struct tcphdr);
  __u32 length = p->headers - begin;
  if (length == 0 || length > 40) return;
  if (length == 12) {
    if (bpf_skb_load_bytes(skb, begin, options, 12) < 0) return;
    if (options[0] == 1 && options[1] == 1 && options[2] == LS_TCP_OPTION_TIMESTAMPS) {
      p->timestamps = begin + 4;
      __builtin_memcpy(&p->tsval, options + 4, 4);
      __builtin_memcpy(&p->tsecr, options + 8, 4);
      return;
    }
  } else {
    // The mask tells the verifier what the comparison above told the compiler.
    asm volatile("%0 &= 63" : "+r"(length));
    if (length < 4 || bpf_skb_load_bytes(skb, begin, options, length) < 0) return;
  }
  // What follows keeps `at` a number that the verifier knows nothing of but its mask: so there is one state for each
  // turn of the loop and not one for each layout of the options. The byte behind them is the length of a NOP.
  options[LS_NOP_LENGTH] = 1;
  __u32 at = 0;
  for (int i = 0; i < 16; i++) {
    at &= 63;
    if (at + 1 >= length) break;
    const __u8 kind = options[at];
    if (kind == 0) break;
    const __u32 size_at = kind == 1 ? LS_NOP_LENGTH : at + 1;
    const __u8 size = options[size_at & 63];
    if (size < (kind == 1 ? 1 : 2) || at + size > length) break;
    if (kind == LS_TCP_OPTION_TIMESTAMPS && size == 10) p->timestamps = begin + at + 2;
    if (kind == LS_TCP_OPTION_SACK && size >= 10 && size <= 34) {
      p->sack = begin + at + 2;
      p->sack_bytes = size - 2;
    }
    at += size;
  }
  if (p->timestamps != 0) {
    __be32 pair[2];
    if (bpf_skb_load_bytes(skb, p->timestamps, pair, 8) < 0) {
      p->timestamps = 0;
      return;
    }
    p->tsval = pair[0];
    p->tsecr = pair[1];
  }
}

#endif
