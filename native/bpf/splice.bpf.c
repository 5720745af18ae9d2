// TCP splicing (Maltz and Bhagwat, 1998; Cohen, Rangarajan and Slye, 1999): segments that arrive on one of two joined
// connections leave on the other with addresses, ports, sequence and acknowledgement numbers, SACK blocks, timestamps
// and window translated. docs/packet-engine.md tells the whole.
//
// Two directions matter at a parked socket: what arrives from its remote end, and what its own stack sends. On an outer
// interface these are ingress and egress; on lo, where every packet is somebody's, egress sees both.
#include <linux/if_packet.h>

#include "icmp.bpf.h"
#include "verdict.bpf.h"

// ---- From the remote end -------------------------------------------------------------------------------------------

static __always_inline void note_ends(struct ls_record* r, struct ls_record* peer, const struct packet* p,
                                      __u32 index) {
  if (p->flags & LS_TCP_RST) {
    // RFC 5961, 3.2: only the number that the other end waits for resets. That is the next one or, where something got
    // lost behind us, the one that it acknowledged last; to others it answers by a challenge.
    if (p->seq != r->seq_next && p->seq + r->delta_seq != peer->ack_seen) return;
    // An end that misses bytes of its side's stack does not believe it, because its number lies behind them: it gets RST
    // from there. And who answers for a backend within a budget, or between requests, has something better to say.
    const int limited = !(r->flags & LS_CLIENT) && (r->flags & (LS_BUDGET | LS_JUDGED));
    const int unheard = (r->flags & LS_DIRECT) && before(peer->ack_seen, r->seq_next + r->delta_seq);
    const int missed = unheard || before(peer->local_acked, peer->local_snd);
    __sync_fetch_and_or(&r->ends, limited || missed ? LS_RESET | LS_HELD : LS_RESET);
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

// Whoever waits for the end of the peer's budget hears that it has arrived.
static __always_inline void note_spent(struct ls_record* peer, const struct ls_record* r,
                                       const struct packet* p) {
  const __u32 sent = peer->seq_next;
  if (!(peer->flags & LS_BUDGET) || before(sent, peer->budget_end)) return;
  if (p->ack != sent + peer->delta_seq) return;
  if (__sync_fetch_and_or(&peer->ends, LS_SPENT) & LS_SPENT) return;
  tell(peer, r->peer, LS_EVENT_SPENT);
}

// Returns 0 if somebody began to resume the link meanwhile, which was in `phase`.
static __always_inline int note_packet(const struct packet* p, struct ls_record* r, struct ls_record* peer,
                                       __u32 index, __u32 phase) {
  if (p->flags & LS_TCP_ACK) {
    raise(&r->ack_seen, p->ack);
    note_spent(peer, r, p);
  }
  r->window = (__u32)p->window << (r->remote_wscale & 15);
  // A FIN or RST may carry the last number.
  if ((p->flags & (LS_TCP_FIN | LS_TCP_RST)) || ((r->ends | peer->ends) & LS_FIN))
    note_ends(r, peer, p, index);
  // The number of a RST may be that of a FIN which the stack got before the link.
  if (!(p->flags & LS_TCP_RST)) raise(&r->seq_next, packet_end(p));
  r->bytes += p->payload;
  // Who resumes writes the state and then reads the numbers; here it is the other way round, with a full barrier in
  // between. So one of the two sees the other.
  __sync_fetch_and_add(&r->packets, 1);
  return phase_of(r) == phase;
}

// The stack misses bytes of which later ones went to it before the link was made: those wait there, and would be taken for
// others when the link has returned. So it gets what is missing, and with it what the segment has besides; user space
// sends it on.
static __always_inline int give_to_stack(struct __sk_buff* skb, struct packet* p, struct ls_record* r,
                                         __u32 phase) {
  raise(&r->given, p->seq + p->payload);
  if (phase_of(r) != phase) {
    count(LS_COUNT_resuming);
    return DROP;
  }
  count(LS_COUNT_old_data);
  return to_own_stack(skb, p, r);
}

static __always_inline int arrive_linked(struct __sk_buff* skb, struct packet* p, struct ls_record* r,
                                         __u32 index, __u32 phase, int on_loopback) {
  const __u32 peer_index = r->peer;
  struct ls_record* peer = bpf_map_lookup_elem(&records, &peer_index);
  if (!peer) {
    count(LS_COUNT_bad_peer);
    return DROP;
  }
  // The other end's record may have been given to another socket, in need: then this one leads nowhere.
  if ((phase_of(peer) ^ phase) & ~LS_STATE) {
    count(LS_COUNT_orphans);
    return DROP;
  }
  if (skb->tc_index == stack_copy) return tell_stack(skb, p, r, r->local_rcv);
  if (p->payload != 0 && is_young(r) && before(p->seq, r->given)) {
    // The remote end missed our stack's acknowledgement: it gets another one from there. These bytes must not go on:
    // where they would arrive are other bytes, the head as it was written anew.
    if (!after(packet_end(p), r->given)) {
      count(LS_COUNT_old_data);
      return to_own_stack(skb, p, r);
    }
    if (is_behind(r)) return give_to_stack(skb, p, r, phase);
    count(LS_COUNT_old_data_cut);
    // A byte before what it expects makes the stack acknowledge again (RFC 9293, 3.10.7.4).
    return tell_stack(skb, p, r, r->local_rcv - 1);
  }
  // What was sent behind bytes that have to come again has not arrived, though the number says so.
  if (p->payload == 0 && !(p->flags & (LS_TCP_FIN | LS_TCP_RST)) && after(p->seq, r->seq_next))
    p->seq = r->seq_next;
  int judgement = LS_PASS;
  if ((r->flags & LS_JUDGED) && (p->payload != 0 || (p->flags & LS_TCP_FIN)) && !(p->flags & LS_TCP_RST)) {
    judgement = r->flags & LS_CLIENT ? judge_request(skb, p, r, peer) : judge_response(skb, p, r);
    if (judgement == LS_ENDS) end_link(r, peer, index, LS_EVENT_CLOSED);
    if (judgement == LS_ENDS || judgement == LS_REFUSE) return DROP;
    if (judgement == LS_WAIT || judgement == LS_PROBE) {
      if (is_jumbo(p) || !keep_ack(skb, p, r)) return DROP;
      // An old number makes the other end answer (RFC 9293, 3.10.7.4).
      if (judgement == LS_PROBE) p->seq--;
    }
  }
  if (judgement == LS_TO_USER && !(r->flags & LS_CLIENT)) count(LS_COUNT_unread_responses);
  if (judgement == LS_TO_USER || judgement == LS_HAND || beyond_budget(p, r, peer)) {
    const int how = (on_loopback ? LS_ON_LOOPBACK : 0) | (judgement == LS_HAND ? LS_IS_READ : 0);
    const int verdict = resume_at(skb, p, r, peer, how);
    if (verdict != LS_LAST_ACK && verdict != LS_ACK_ONLY) return verdict;
    if (!keep_ack(skb, p, r)) return DROP;
    if (verdict == LS_LAST_ACK) {
      if (!splice(skb, p, r, peer)) return DROP;
      count(LS_COUNT_last_acks);
      count(LS_COUNT_spliced);
      return send_on(skb, peer, on_loopback);
    }
  }
  if (!note_packet(p, r, peer, index, phase)) {
    const __u32 now = settled_phase(r);
    if ((now & LS_STATE) == LS_LOCAL && judgement == LS_PASS) return arrive_local(skb, p, r);
    if (now != phase) {
      count(LS_COUNT_resuming);
      return DROP;
    }
  }
  if ((r->flags & (LS_JUDGED | LS_CLIENT)) == LS_JUDGED && p->payload != 0) note_response(r, peer_index);
  if ((p->flags & LS_TCP_RST) && (r->ends & LS_HELD)) {
    count(LS_COUNT_resuming);
    return DROP;
  }
  if (before(r->local_acked, r->local_snd) && (p->flags & LS_TCP_ACK) && !is_jumbo(p)) {
    skb->tc_index = stack_copy;
    bpf_clone_redirect(skb, skb->ifindex, on_loopback ? 0 : BPF_F_INGRESS);
    skb->tc_index = 0;
    raise(&r->local_acked, ack_for_stack(r, p));
  }
  // A byte that is called urgent is taken out of those that were judged, also when the flag comes before it.
  if ((r->flags & (LS_JUDGED | LS_CLIENT)) == (LS_JUDGED | LS_CLIENT)) p->flags &= ~LS_TCP_URG;
  if (!splice(skb, p, r, peer)) return DROP;
  count(LS_COUNT_spliced);
  return send_on(skb, peer, on_loopback);
}

static __always_inline int arrive(struct __sk_buff* skb, struct packet* p, __u32 index, int on_loopback) {
  struct ls_record* r = bpf_map_lookup_elem(&records, &index);
  if (!r) return NEXT;
  if ((p->flags & (LS_TCP_SYN | LS_TCP_ACK)) == LS_TCP_SYN && (r->ends & LS_OVER)) {
    count(LS_COUNT_reused);
    bpf_map_delete_elem(&sockets, &r->key);
    return NEXT;
  }
  read_options(skb, p);
  const __u32 phase = p->phase = settled_phase(r);
  switch (phase & LS_STATE) {
    case LS_LINKED:
      return arrive_linked(skb, p, r, index, phase, on_loopback);
    case LS_LOCAL: {
      const int verdict = arrive_local(skb, p, r);
      // Who makes a link sets the phase and then reads what was given to the stack; here it is the other way round. It matters
      // only to whom nothing may have been given.
      if (phase_of(r) == phase || !(r->flags & LS_DIRECT)) return verdict;
      count(LS_COUNT_resuming);
      return DROP;
    }
    default:
      count(LS_COUNT_resuming);
      return DROP;
  }
}

// ---- From the parked socket's own stack ----------------------------------------------------------------------------

static __always_inline int leave(struct __sk_buff* skb, struct packet* p, __u32 index) {
  struct ls_record* r = bpf_map_lookup_elem(&records, &index);
  if (!r) return NEXT;
  if ((p->flags & (LS_TCP_SYN | LS_TCP_ACK)) == LS_TCP_SYN && (r->ends & LS_OVER)) {
    count(LS_COUNT_reused);
    bpf_map_delete_elem(&sockets, &r->key);
    return NEXT;
  }
  if ((settled_phase(r) & LS_STATE) == LS_RESUMING) {
    count(LS_COUNT_resuming);
    return DROP;
  }
  read_options(skb, p);
  return from_own_stack(skb, p, r);
}

// ---- Programs ------------------------------------------------------------------------------------------------------

#define LS_NOBODY 0xffffffff

// The record of the socket that a packet goes to, or comes from.
static __always_inline __u32 find_record(const struct packet* p, int from_remote) {
  struct ls_key key;
  __builtin_memcpy(key.local, from_remote ? p->target : p->source, 16);
  __builtin_memcpy(key.remote, from_remote ? p->source : p->target, 16);
  key.local_port = from_remote ? target_port(p) : source_port(p);
  key.remote_port = from_remote ? source_port(p) : target_port(p);
  const __u32* index = bpf_map_lookup_elem(&sockets, &key);
  return index ? *index : LS_NOBODY;
}

SEC("tc")
int outer_ingress(struct __sk_buff* skb) {
  struct packet p;
  // A promiscuous interface sees packets of others, and one below a VLAN those of the VLAN, which has hooks of its own.
  if (skb->pkt_type != PACKET_HOST || skb->vlan_present) return NEXT;
  if (!read_packet(skb, &p)) return arrive_error(skb, 0);
  const __u32 index = find_record(&p, 1);
  return index != LS_NOBODY ? arrive(skb, &p, index, 0) : NEXT;
}

SEC("tc")
int outer_egress(struct __sk_buff* skb) {
  struct packet p;
  // Below a VLAN: the hook of the VLAN's own interface has done what there was to do.
  if (skb->vlan_present) return NEXT;
  if (skb->tc_index == translated) {
    skb->tc_index = 0;
    return NEXT;
  }
  if (!read_packet(skb, &p)) return NEXT;
  const __u32 index = find_record(&p, 0);
  return index != LS_NOBODY ? leave(skb, &p, index) : NEXT;
}

SEC("tc")
int loopback_egress(struct __sk_buff* skb) {
  struct packet p;
  if (skb->tc_index == translated) {
    skb->tc_index = 0;
    return NEXT;
  }
  if (!read_packet(skb, &p)) return arrive_error(skb, 1);
  __u32 index = find_record(&p, 1);
  if (index != LS_NOBODY) return arrive(skb, &p, index, 1);
  index = find_record(&p, 0);
  return index != LS_NOBODY ? leave(skb, &p, index) : NEXT;
}

char _license[] SEC("license") = "Dual MIT/GPL";
