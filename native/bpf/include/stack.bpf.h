// Between a parked socket's remote end and its own stack.
#ifndef LONGSPLICE_STACK_BPF_H
#define LONGSPLICE_STACK_BPF_H

#include "rewrite.bpf.h"
#include "state.bpf.h"

static __always_inline __u32 stack_clock(const struct ls_record* r) {
  return r->ts_base + (__u32)((bpf_ktime_get_ns() - r->ts_base_ns) / 1000000);
}

// RFC 7323, 5.3 (PAWS): a segment with a TSval below that of an earlier one is thrown away.
static __always_inline __u32 not_before_last(struct ls_record* r, __u32 tsval) {
  raise(&r->last_tsval, tsval);
  return before(tsval, r->last_tsval) ? r->last_tsval : tsval;
}

static __always_inline __u16 scale_window(__u32 bytes, __u8 shift) {
  bytes >>= shift & 15;
  return bytes > 0xffff ? 0xffff : bytes;
}

// An acknowledgement in the numbers of the stack. A stack throws away what acknowledges bytes that it has not sent
// (RFC 9293, 3.10.7.4), and the remote end may have got them without it: bytes that slipped into the queue of one socket
// are relayed by the other, and meanwhile their sender repeats them past both.
static __always_inline __u32 ack_for_stack(const struct ls_record* r, const struct packet* p) {
  const __u32 ack = p->ack - r->adv_out;
  const __u32 sent = *(volatile const __u32*)&r->local_sent;
  return after(ack, sent) ? sent : ack;
}

static __always_inline int to_own_stack(struct __sk_buff* skb, struct packet* p, const struct ls_record* r) {
  struct rewrite to = {
      .seq = p->seq - r->adv_in,
      .ack = ack_for_stack(r, p),
      .window = p->window,
      .flags = p->flags,
      .tsval = bpf_ntohl(p->tsval),
      .tsecr = bpf_ntohl(p->tsecr) - r->ts_advance,
      .sack_delta = -r->adv_out,
  };
  if (!rewrite_packet(skb, p, &to)) {
    count(LS_COUNT_bad_packet);
    return DROP;
  }
  return NEXT;
}

static __always_inline int arrive_local(struct __sk_buff* skb, struct packet* p, struct ls_record* r) {
  // A link that is made next may never see another packet of this end.
  if (p->flags & LS_TCP_ACK) raise(&r->ack_seen, p->ack);
  r->window = (__u32)p->window << (r->remote_wscale & 15);
  // What lies far behind the window, no stack keeps.
  if (p->payload != 0 && !after(p->seq - r->adv_in, r->edge + LS_BEYOND_WINDOW))
    raise(&r->given, p->seq + p->payload);
  count(LS_COUNT_local_in);
  return to_own_stack(skb, p, r);
}

// A checksum that the card is to complete: the helper leaves it alone unless the pseudo header changes.
static __always_inline int completed_by_card(struct __sk_buff* skb, __u32 check) {
  __u16 value = 0;
  if (bpf_skb_store_bytes(skb, check, &value, 2, 0) < 0) return 0;
  if (bpf_l4_csum_replace(skb, check, 0, 1, 0) < 0) return 0;
  return bpf_skb_load_bytes(skb, check, &value, 2) == 0 && value == 0;
}

// Cuts off all but the first `keep` bytes of the payload, whose sum is `sum`. The checksum is made anew: that of the
// whole segment says nothing about a part of it.
static __always_inline int cut_to(struct __sk_buff* skb, const struct packet* p, __u32 keep, __u64 payload) {
  __u8 header[64] = {};
  __u32 length = p->headers - p->l4;
  const __u32 check_at = p->l4 + __builtin_offsetof(struct tcphdr, check);
  if (bpf_skb_change_tail(skb, p->headers + keep, 0) < 0) return 0;
  __u64 sum = 0;
  if (p->family == LS_AF_INET) {
    __be16 before_cut, now = bpf_htons((__u16)(p->headers + keep - LS_L2));
    if (bpf_skb_load_bytes(skb, LS_L2 + __builtin_offsetof(struct iphdr, tot_len), &before_cut, 2) < 0)
      return 0;
    if (bpf_l3_csum_replace(skb, LS_L2 + __builtin_offsetof(struct iphdr, check), before_cut, now, 2) < 0)
      return 0;
    if (bpf_skb_store_bytes(skb, LS_L2 + __builtin_offsetof(struct iphdr, tot_len), &now, 2, 0) < 0) return 0;
    sum = (__u64)p->source[3] + p->target[3];
  } else {
    const __be16 now = bpf_htons((__u16)(length + keep));
    if (bpf_skb_store_bytes(skb, LS_L2 + __builtin_offsetof(struct ipv6hdr, payload_len), &now, 2, 0) < 0)
      return 0;
    for (int i = 0; i < 4; i++) sum += (__u64)p->source[i] + p->target[i];
  }
  sum += bpf_htonl(length + keep) + (__u64)bpf_htonl(IPPROTO_TCP);
  if (completed_by_card(skb, check_at)) {
    const __u16 pseudo = fold_to_16(sum);
    return bpf_skb_store_bytes(skb, check_at, &pseudo, 2, 0) == 0;
  }
  if (length < sizeof(struct tcphdr) || length > 60) return 0;
  asm volatile("%0 &= 63" : "+r"(length));
  if (length < sizeof(struct tcphdr) || bpf_skb_load_bytes(skb, p->l4, header, length) < 0) return 0;
  header[16] = header[17] = 0;
  sum += payload;
  const __be32* words = (const __be32*)header;
  for (int i = 0; i < 15; i++) sum += words[i];
  const __u16 check = (__u16)~fold_to_16(sum);
  return bpf_skb_store_bytes(skb, check_at, &check, 2, 0) == 0;
}

static __always_inline int cut_to_header(struct __sk_buff* skb, const struct packet* p) {
  return cut_to(skb, p, 0, 0);
}

// Split acknowledgement: the stack of a parked socket learns what the remote end has of the stack's own data, and
// nothing else.
static __noinline int tell_stack(struct __sk_buff* skb, struct packet* p, struct ls_record* r, __u32 seq) {
  struct rewrite to = {
      .seq = seq,
      .ack = ack_for_stack(r, p),
      .window = p->window,
      .flags = p->flags & ~(LS_TCP_FIN | LS_TCP_PSH | LS_TCP_RST | LS_TCP_URG),
      .tsval = bpf_ntohl(p->tsval),
      .tsecr = bpf_ntohl(p->tsecr) - r->ts_advance,
      .sack_delta = -r->adv_out,
  };
  struct packet header = *p;
  skb->tc_index = 0;
  if (!rewrite_packet(skb, &header, &to) || !cut_to_header(skb, p)) {
    count(LS_COUNT_bad_copy);
    return DROP;
  }
  count(LS_COUNT_split_acks);
  return NEXT;
}

// The stack misses something before the last byte that it was given, or user space has not read all of that.
static __always_inline int is_behind(const struct ls_record* r) {
  return after(*(volatile const __u32*)&r->given, *(volatile const __u32*)&r->local_rcv + r->adv_in);
}

// The window in bytes that the remote end of `to` is told with an acknowledgement. What lies behind a budget
// goes to the stack of `to`; so the remote end may send no more of that than this stack has room for. A smaller
// window later would not do: a sender believes it only with a number that is new to it (RFC 9293, 3.10.7.4).
static __always_inline __u32 promise(const struct ls_record* to, __u32 window, __u32 ack) {
  // A client whose requests are judged has none: all but its next request is for the stack. What a backend sends on such a
  // link mostly goes past, and needs what the client has room for.
  const int budget = to->flags & LS_BUDGET;
  // What it misses goes to the stack as well, with what comes behind.
  const int behind = is_behind(to);
  if (!behind && !budget && (to->flags & (LS_JUDGED | LS_CLIENT)) != (LS_JUDGED | LS_CLIENT)) return window;
  __u32 past = budget && after(to->budget_end, to->seq_next) ? to->budget_end : to->seq_next;
  if (behind) past = to->local_rcv + to->adv_in;
  __u32 own = to->edge - to->local_rcv;
  if (!behind && (__s32)own < LS_LEAST_ROOM) own = LS_LEAST_ROOM;
  const __u32 room = past + own - ack;
  if ((__s32)room < 0) return 0;
  return window < room ? window : room;
}

// What the remote end believes in until it hears of another window with a new number.
static __always_inline void note_told(struct ls_record* to, const struct rewrite* said) {
  raise(&to->told, said->ack + ((__u32)said->window << (to->local_wscale & 15)));
}

static __always_inline int from_own_stack(struct __sk_buff* skb, struct packet* p, struct ls_record* r) {
  struct rewrite to = {
      .seq = p->seq + r->adv_out,
      .ack = p->ack + r->adv_in,
      .window = p->window,
      .flags = p->flags,
      .sack_delta = r->adv_in,
  };
  if (p->timestamps != 0) {
    to.tsval = not_before_last(r, bpf_ntohl(p->tsval) + r->ts_advance);
    to.tsecr = bpf_ntohl(p->tsecr);
  }
  if (p->payload != 0 || (p->flags & LS_TCP_FIN)) raise(&r->local_sent, packet_end(p));
  if (p->flags & LS_TCP_ACK) raise(&r->edge, p->ack + ((__u32)p->window << (r->local_wscale & 15)));
  const __u32 phase = phase_of(r);
  if ((phase & LS_STATE) == LS_LINKED) {
    const __u32 peer_index = r->peer;
    struct ls_record* peer = bpf_map_lookup_elem(&records, &peer_index);
    if (!peer) {
      count(LS_COUNT_bad_peer);
      return DROP;
    }
    // The process died. Its sockets' farewell has old numbers, and the connection is not theirs any more.
    if (p->flags & (LS_TCP_FIN | LS_TCP_RST)) {
      count(LS_COUNT_swallowed);
      return DROP;
    }
    // The stack does not know what the ends have said to each other since; its segment must not take it back.
    __u32 acked = peer->ack_seen + peer->delta_ack;
    if (r->flags & LS_DIRECT) {
      if (is_young(r) && before(acked, r->link_rcv)) acked = r->link_rcv;
      to.ack = acked;
    }
    if (after(acked, to.ack)) to.ack = acked;
    to.window = scale_window(promise(r, peer->window, to.ack), r->local_wscale);
    if (p->payload == 0) {
      to.seq = peer->seq_next + peer->delta_seq;
      count(LS_COUNT_stack_acks);
    } else {
      count(LS_COUNT_stack_data);
    }
  } else {
    // What the stack acknowledges nobody will repeat, also if it was handed over and the stack has none of it.
    if (p->flags & LS_TCP_ACK) raise(&r->given, to.ack);
    if (phase_of(r) != phase && (r->flags & LS_DIRECT)) {
      count(LS_COUNT_resuming);
      return DROP;
    }
    count(LS_COUNT_local_out);
  }
  if (p->flags & LS_TCP_ACK) note_told(r, &to);
  if (!rewrite_packet(skb, p, &to)) {
    count(LS_COUNT_bad_packet);
    return DROP;
  }
  return NEXT;
}

#endif
