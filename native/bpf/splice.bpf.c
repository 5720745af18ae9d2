// TCP splicing (Maltz and Bhagwat, 1998; Cohen, Rangarajan and Slye, 1999): segments that arrive on one of two joined
// connections leave on the other with addresses, ports, sequence and acknowledgement numbers, SACK blocks, timestamps
// and window translated. docs/packet-engine.md tells the whole.
//
// Two directions matter at a parked socket: what arrives from its remote end, and what its own stack sends. On an outer
// interface these are ingress and egress; on lo, where every packet is somebody's, egress sees both.
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

#include "rewrite.bpf.h"
#include "state.bpf.h"

#define LS_LOOPBACK 1

// Others may have programs here as well.
#define NEXT TC_ACT_UNSPEC
#define DROP TC_ACT_SHOT

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

// ---- From the remote end -------------------------------------------------------------------------------------------

static __always_inline int to_own_stack(struct __sk_buff* skb, struct packet* p, const struct ls_record* r) {
  struct rewrite to = {
      .seq = p->seq - r->adv_in,
      .ack = p->ack - r->adv_out,
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

// Cuts off the payload. The checksum is made anew: that of the whole segment says nothing about its header.
static __always_inline int cut_to_header(struct __sk_buff* skb, const struct packet* p) {
  __u8 header[64] = {};
  __u32 length = p->headers - p->l4;
  if (bpf_skb_change_tail(skb, p->headers, 0) < 0) return 0;
  __u64 sum = 0;
  if (p->family == LS_AF_INET) {
    __be16 before_cut, now = bpf_htons((__u16)(p->headers - LS_L2));
    if (bpf_skb_load_bytes(skb, LS_L2 + __builtin_offsetof(struct iphdr, tot_len), &before_cut, 2) < 0)
      return 0;
    if (bpf_l3_csum_replace(skb, LS_L2 + __builtin_offsetof(struct iphdr, check), before_cut, now, 2) < 0)
      return 0;
    if (bpf_skb_store_bytes(skb, LS_L2 + __builtin_offsetof(struct iphdr, tot_len), &now, 2, 0) < 0) return 0;
    sum = (__u64)p->source[3] + p->target[3];
  } else {
    const __be16 now = bpf_htons((__u16)length);
    if (bpf_skb_store_bytes(skb, LS_L2 + __builtin_offsetof(struct ipv6hdr, payload_len), &now, 2, 0) < 0)
      return 0;
    for (int i = 0; i < 4; i++) sum += (__u64)p->source[i] + p->target[i];
  }
  sum += bpf_htonl(length) + (__u64)bpf_htonl(IPPROTO_TCP);
  if (length < sizeof(struct tcphdr) || length > 60) return 0;
  asm volatile("%0 &= 63" : "+r"(length));
  if (length < sizeof(struct tcphdr) || bpf_skb_load_bytes(skb, p->l4, header, length) < 0) return 0;
  header[16] = header[17] = 0;
  const __be32* words = (const __be32*)header;
  for (int i = 0; i < 15; i++) sum += words[i];
  __u32 folded = sum_fold(sum);
  folded = (folded & 0xffff) + (folded >> 16);
  folded = (folded & 0xffff) + (folded >> 16);
  const __u16 check = (__u16)~folded;
  return bpf_skb_store_bytes(skb, p->l4 + __builtin_offsetof(struct tcphdr, check), &check, 2, 0) == 0;
}

// Split acknowledgement: the stack of a parked socket learns what the remote end has of the stack's own data, and
// nothing else.
static __noinline int tell_stack(struct __sk_buff* skb, struct packet* p, struct ls_record* r, __u32 seq) {
  const __u32 ack = p->ack - r->adv_out;
  struct rewrite to = {
      .seq = seq,
      .ack = after(ack, r->local_snd) ? r->local_snd : ack,
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

static __always_inline void note_ends(struct ls_record* r, struct ls_record* peer, const struct packet* p,
                                      __u32 index) {
  if (p->flags & LS_TCP_RST) {
    // RFC 5961, 3.2: only the number that the other end waits for resets. That is the next one or, where something got
    // lost behind us, the one that it acknowledged last; to others it answers by a challenge.
    if (p->seq != r->seq_next && p->seq + r->delta_seq != peer->ack_seen) return;
    // An end that misses bytes of its side's stack does not believe it, because its number lies behind them. It gets RST
    // from there.
    __sync_fetch_and_or(&r->ends, before(peer->local_acked, peer->local_snd) ? LS_RESET | LS_HELD : LS_RESET);
    end_link(r, peer, index, LS_EVENT_RESET);
    return;
  }
  if ((p->flags & LS_TCP_FIN) && !(r->ends & LS_FIN) && !before(packet_end(p), r->seq_next)) {
    r->fin_end = packet_end(p);
    __sync_fetch_and_or(&r->ends, LS_FIN);
  }
  if (!(r->ends & LS_FIN) || !(peer->ends & LS_FIN)) return;
  if (before(peer->ack_seen, r->fin_end + r->delta_seq)) return;
  if (before(r->ack_seen, peer->fin_end + peer->delta_seq)) return;
  end_link(r, peer, index, LS_EVENT_FINISHED);
}

// "HTTP/1.1 200": what the access log wants to know of a response that nobody reads.
static __always_inline void note_status(struct __sk_buff* skb, const struct packet* p, struct ls_record* r) {
  __u8 line[12];
  if (r->status != 0 || (r->flags & LS_CLIENT) || p->payload < sizeof(line) || p->seq != r->link_rcv) return;
  if (bpf_skb_load_bytes(skb, p->headers, line, sizeof(line)) < 0) return;
  if (line[0] != 'H' || line[5] != '1' || line[8] != ' ') return;
  for (int i = 9; i < 12; i++) {
    if (line[i] < '0' || line[i] > '9') return;
  }
  r->status_ns = bpf_ktime_get_ns();
  r->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
}

// Returns 0 if somebody began to resume the link meanwhile.
static __always_inline int note_packet(struct __sk_buff* skb, const struct packet* p, struct ls_record* r,
                                       struct ls_record* peer, __u32 index) {
  if (p->flags & LS_TCP_ACK) raise(&r->ack_seen, p->ack);
  r->window = (__u32)p->window << (r->remote_wscale & 15);
  if (p->payload != 0) note_status(skb, p, r);
  // A FIN or RST may carry the last number.
  if ((p->flags & (LS_TCP_FIN | LS_TCP_RST)) || ((r->ends | peer->ends) & LS_FIN))
    note_ends(r, peer, p, index);
  raise(&r->seq_next, packet_end(p));
  r->bytes += p->payload;
  // Who resumes writes the state and then reads the numbers; here it is the other way round, with a full barrier in
  // between. So one of the two sees the other.
  __sync_fetch_and_add(&r->packets, 1);
  return state_of(r) == LS_LINKED;
}

static __always_inline int send_on(struct __sk_buff* skb, const struct ls_record* peer, int on_loopback) {
  count(LS_COUNT_spliced);
  // From lo to lo the packet has a route already, and one that leads to the other end as well as to this.
  if (on_loopback && peer->ifindex == LS_LOOPBACK) return NEXT;
  skb->tc_index = translated;
  return bpf_redirect_neigh(peer->ifindex, NULL, 0, 0);
}

static __noinline int splice(struct __sk_buff* skb, struct packet* p, struct ls_record* r,
                             struct ls_record* peer) {
  const __u32 bytes = (__u32)p->window << (r->remote_wscale & 15);
  struct rewrite to = {
      .source = peer->key.local,
      .target = peer->key.remote,
      .source_port = peer->key.local_port,
      .target_port = peer->key.remote_port,
      .seq = p->seq + r->delta_seq,
      .ack = p->ack + r->delta_ack,
      .window = scale_window(bytes, peer->local_wscale),
      .flags = p->flags,
      .sack_delta = r->delta_ack,
  };
  // What the peer's own stack has received is acknowledged, whatever the new end says of it.
  if (before(to.ack, peer->link_rcv)) to.ack = peer->link_rcv;
  if (p->timestamps != 0) {
    const __u32 tsval = bpf_ntohl(p->tsval);
    if (!r->ts_ready) {
      r->ts_delta = stack_clock(peer) + peer->ts_advance - tsval;
      r->ts_ready = 1;
    }
    to.tsval = not_before_last(peer, tsval + r->ts_delta);
    // 0 means that there is nothing to measure a round trip by.
    to.tsecr = peer->ts_ready ? bpf_ntohl(p->tsecr) - peer->ts_delta : 0;
  }
  if (!rewrite_packet(skb, p, &to)) {
    count(LS_COUNT_bad_packet);
    return 0;
  }
  return 1;
}

static __always_inline int arrive_linked(struct __sk_buff* skb, struct packet* p, struct ls_record* r,
                                         __u32 index, int on_loopback) {
  const __u32 peer_index = r->peer;
  struct ls_record* peer = bpf_map_lookup_elem(&records, &peer_index);
  if (!peer) {
    count(LS_COUNT_bad_peer);
    return DROP;
  }
  if (skb->tc_index == stack_copy) return tell_stack(skb, p, r, r->local_rcv);
  if (p->payload != 0 && before(p->seq, r->link_rcv)) {
    // The remote end missed our stack's acknowledgement: it gets another one from there. These bytes must not go on:
    // where they would arrive are other bytes, the head as it was written anew.
    if (!after(packet_end(p), r->link_rcv)) {
      count(LS_COUNT_old_data);
      return to_own_stack(skb, p, r);
    }
    count(LS_COUNT_old_data_cut);
    // A byte before what it expects makes the stack acknowledge again (RFC 9293, 3.10.7.4).
    return tell_stack(skb, p, r, r->local_rcv - 1);
  }
  if (r->has_budget && after(packet_end(p), r->budget_end)) {
    count(LS_COUNT_over_budget);
    return DROP;
  }
  if (!note_packet(skb, p, r, peer, index)) {
    count(LS_COUNT_resuming);
    return DROP;
  }
  if ((p->flags & LS_TCP_RST) && (r->ends & LS_HELD)) {
    count(LS_COUNT_resuming);
    return DROP;
  }
  // The header of a packet beyond 64 KB says so, and cannot be cut off from it; the next one will do.
  const int jumbo = p->family == LS_AF_INET6 && p->l4 != LS_L2 + sizeof(struct ipv6hdr);
  if (before(r->local_acked, r->local_snd) && (p->flags & LS_TCP_ACK) && !jumbo) {
    skb->tc_index = stack_copy;
    bpf_clone_redirect(skb, skb->ifindex, on_loopback ? 0 : BPF_F_INGRESS);
    skb->tc_index = 0;
    raise(&r->local_acked, p->ack - r->adv_out);
  }
  if (!splice(skb, p, r, peer)) return DROP;
  return send_on(skb, peer, on_loopback);
}

static __always_inline int arrive(struct __sk_buff* skb, struct packet* p, const struct ls_key* key,
                                  __u32 index, int on_loopback) {
  struct ls_record* r = bpf_map_lookup_elem(&records, &index);
  if (!r) return NEXT;
  if ((p->flags & (LS_TCP_SYN | LS_TCP_ACK)) == LS_TCP_SYN && (r->ends & LS_OVER)) {
    count(LS_COUNT_reused);
    bpf_map_delete_elem(&sockets, key);
    return NEXT;
  }
  read_options(skb, p);
  switch (state_of(r)) {
    case LS_LINKED:
      return arrive_linked(skb, p, r, index, on_loopback);
    case LS_LOCAL:
      count(LS_COUNT_local_in);
      return to_own_stack(skb, p, r);
    default:
      count(LS_COUNT_resuming);
      return DROP;
  }
}

// ---- From the parked socket's own stack ----------------------------------------------------------------------------

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
  if (state_of(r) == LS_LINKED) {
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
    const __u32 acked = peer->ack_seen + peer->delta_ack;
    if (after(acked, to.ack)) to.ack = acked;
    to.window = scale_window(peer->window, r->local_wscale);
    if (p->payload == 0) {
      to.seq = peer->seq_next + peer->delta_seq;
      count(LS_COUNT_stack_acks);
    } else {
      count(LS_COUNT_stack_data);
    }
  } else {
    count(LS_COUNT_local_out);
  }
  if (!rewrite_packet(skb, p, &to)) {
    count(LS_COUNT_bad_packet);
    return DROP;
  }
  return NEXT;
}

static __always_inline int leave(struct __sk_buff* skb, struct packet* p, const struct ls_key* key,
                                 __u32 index) {
  struct ls_record* r = bpf_map_lookup_elem(&records, &index);
  if (!r) return NEXT;
  if ((p->flags & (LS_TCP_SYN | LS_TCP_ACK)) == LS_TCP_SYN && (r->ends & LS_OVER)) {
    count(LS_COUNT_reused);
    bpf_map_delete_elem(&sockets, key);
    return NEXT;
  }
  if (state_of(r) == LS_RESUMING) {
    count(LS_COUNT_resuming);
    return DROP;
  }
  read_options(skb, p);
  return from_own_stack(skb, p, r);
}

// ---- Programs ------------------------------------------------------------------------------------------------------

static __always_inline void make_key(struct ls_key* key, const struct packet* p, int from_remote) {
  __builtin_memcpy(key->local, from_remote ? p->target : p->source, 16);
  __builtin_memcpy(key->remote, from_remote ? p->source : p->target, 16);
  key->local_port = from_remote ? target_port(p) : source_port(p);
  key->remote_port = from_remote ? source_port(p) : target_port(p);
}

SEC("tc")
int outer_ingress(struct __sk_buff* skb) {
  struct packet p;
  struct ls_key key;
  // A promiscuous interface sees packets of others, and one below a VLAN those of the VLAN, which has hooks of its own.
  if (skb->pkt_type != PACKET_HOST || skb->vlan_present) return NEXT;
  if (!read_packet(skb, &p)) return NEXT;
  make_key(&key, &p, 1);
  const __u32* index = bpf_map_lookup_elem(&sockets, &key);
  return index ? arrive(skb, &p, &key, *index, 0) : NEXT;
}

SEC("tc")
int outer_egress(struct __sk_buff* skb) {
  struct packet p;
  struct ls_key key;
  // Below a VLAN: the hook of the VLAN's own interface has done what there was to do.
  if (skb->vlan_present) return NEXT;
  if (skb->tc_index == translated) {
    skb->tc_index = 0;
    return NEXT;
  }
  if (!read_packet(skb, &p)) return NEXT;
  make_key(&key, &p, 0);
  const __u32* index = bpf_map_lookup_elem(&sockets, &key);
  return index ? leave(skb, &p, &key, *index) : NEXT;
}

SEC("tc")
int loopback_egress(struct __sk_buff* skb) {
  struct packet p;
  struct ls_key key;
  if (skb->tc_index == translated) {
    skb->tc_index = 0;
    return NEXT;
  }
  if (!read_packet(skb, &p)) return NEXT;
  make_key(&key, &p, 1);
  const __u32* index = bpf_map_lookup_elem(&sockets, &key);
  if (index) return arrive(skb, &p, &key, *index, 1);
  make_key(&key, &p, 0);
  index = bpf_map_lookup_elem(&sockets, &key);
  return index ? leave(skb, &p, &key, *index) : NEXT;
}

char _license[] SEC("license") = "Dual MIT/GPL";
