// How a link returns to the stacks of its two parked sockets, at the packet that user space has to see.
//
// It can do so only when it is quiet: then there is one number up to which everything was sent, received and
// acknowledged in each direction, and both stacks go on from there. Nothing is lost, and nothing is sent again.
#ifndef LONGSPLICE_RESUME_BPF_H
#define LONGSPLICE_RESUME_BPF_H

#include "link.bpf.h"

static __always_inline int beyond_budget(const struct packet* p, const struct ls_record* r,
                                         const struct ls_record* peer) {
  if (!(r->flags & LS_BUDGET) || !after(packet_end(p), r->budget_end)) return 0;
  // What went past before a budget was cut short may have been lost further on, and has to come again.
  if (!after(packet_end(p), r->seq_next)) return 0;
  // A FIN that answers one ends the link as any other.
  return p->payload != 0 || !(peer->ends & LS_FIN);
}

// The client's record first. Whoever has set that one alone may set the other.
static __always_inline int hold(struct ls_record* client, struct ls_record* backend, __u32 phase) {
  const __u32 resuming = (phase & ~LS_STATE) | LS_RESUMING;
  if (__sync_val_compare_and_swap(&client->phase, phase, resuming) != phase) return 0;
  __sync_lock_test_and_set(&backend->phase, resuming);
  return 1;
}

static __always_inline void let_go(struct ls_record* client, struct ls_record* backend, __u32 state) {
  const __u32 phase = (client->phase & ~LS_STATE) | state;
  __sync_lock_test_and_set(&backend->phase, phase);
  __sync_lock_test_and_set(&client->phase, phase);
}

// What its stack holds behind a gap would be delivered in place of other bytes, if its numbers moved. Where nothing went past
// it they do not; and it may have thrown away what it was given, for want of room that it gets when it returns.
static __always_inline int must_wait(const struct ls_record* r, __u32 received) {
  return is_behind(r) && received != r->local_rcv + r->adv_in;
}

// Its stack goes on from these real numbers.
static __always_inline void settle(struct ls_record* r, __u32 received, __u32 sent) {
  if (received != r->local_rcv + r->adv_in) r->given = received;
  r->adv_in = received - r->local_rcv;
  r->adv_out = sent - r->local_snd;
  const __u32 clock = stack_clock(r) + r->ts_advance;
  const __u32 last = r->last_tsval;
  if (after(last, clock)) r->ts_advance += last - clock;
}

// What `resume_at` says besides a verdict: of the packet an acknowledgement is left, which the other end waits for. The
// caller sends it on; further down the stack would not do (512 bytes).
#define LS_LAST_ACK 100  // the packet has gone to the stack as a copy
#define LS_ACK_ONLY 101  // the rest has to come again

// What `resume_at` has to know of a packet besides.
#define LS_ON_LOOPBACK 1
#define LS_IS_READ 2  // a whole segment of the client; the head in the link's judge is its payload

// The client's stack need not have the bytes: user space reads them where they are. Nobody acknowledges them before they are
// acknowledged by whoever they are sent to, or sent again.
static __always_inline void hand_over(const struct packet* p, struct ls_record* client,
                                      struct ls_record* backend, struct ls_judge* j) {
  client->given = p->seq;
  client->window = (__u32)p->window << (client->remote_wscale & 15);
  j->handed = p->payload;
  if (after(p->ack, client->ack_seen)) __sync_fetch_and_or(&backend->ends, LS_OWES);
}

static __noinline int resume_at(struct __sk_buff* skb, struct packet* p, struct ls_record* r,
                                struct ls_record* peer, int how) {
  struct ls_record* client = r->flags & LS_CLIENT ? r : peer;
  struct ls_record* backend = r->flags & LS_CLIENT ? peer : r;
  if (!hold(client, backend, p->phase)) {
    if ((settled_phase(client) & LS_STATE) == LS_LOCAL) return arrive_local(skb, p, r);
    if (!hold(client, backend, p->phase)) {
      count(LS_COUNT_resuming);
      return DROP;
    }
  }
  // A packet that began before may still change them: what was looked at is what the stacks go on from.
  const __u32 sent = *(volatile const __u32*)&r->seq_next;
  const __u32 acked = *(volatile const __u32*)&peer->ack_seen;
  const __u32 answered = *(volatile const __u32*)&peer->seq_next;
  // What slipped into the queue of a stack, and was sent again past it, would be counted twice.
  const int unseen =
      *(const volatile __u8*)&client->flags & LS_UNSEEN || must_wait(r, sent) || must_wait(peer, answered);
  // The packet acknowledges all that the other end has sent, and the other end everything before the packet.
  const int quiet =
      !after(p->seq, sent) && acked == sent + r->delta_seq && p->ack == answered + peer->delta_seq;
  // Where the client has all that a backend had to say, it goes on without it.
  const int alone = (r->flags & (LS_JUDGED | LS_CLIENT)) == (LS_JUDGED | LS_CLIENT) &&
                    (peer->ends & (LS_FIN | LS_RESET | LS_HELD)) == (LS_RESET | LS_HELD);
  const __u32 ends = alone ? r->ends : r->ends | peer->ends;
  if (unseen || !quiet || (ends & (LS_FIN | LS_RESET))) {
    // A backend that answers before it has the whole request is to be heard: the client has to pause.
    if (r == backend && (client->flags & LS_BUDGET) && before(client->seq_next, client->budget_end))
      client->budget_end = client->seq_next;
    let_go(client, backend, LS_LINKED);
    count(LS_COUNT_not_quiet);
    // A FIN that went past cannot come to the stack of its socket any more.
    if (peer->ends & LS_FIN) end_link(r, peer, peer->peer, LS_EVENT_LATE);
    return is_jumbo(p) ? DROP : LS_ACK_ONLY;
  }
  struct ls_judge* j = how & LS_IS_READ ? judge_of(r) : 0;
  const int hands_over = j && p->seq == sent && !is_behind(r);
  const int owes_ack = after(p->ack, r->ack_seen);
  settle(r, hands_over ? packet_end(p) : sent, p->ack);
  settle(peer, answered, acked);
  if (hands_over) hand_over(p, client, backend, j);
  r->ack_seen = p->ack;
  let_go(client, backend, LS_LOCAL);
  count(LS_COUNT_resumed);
  if (hands_over) {
    count(LS_COUNT_handed);
    tell(client, backend->peer, LS_EVENT_HANDED);
    return take_away();
  }
  if (!owes_ack || is_jumbo(p)) {
    return arrive_local(skb, p, r);
  }
  // The copy comes by here again, and finds a socket that speaks for itself.
  bpf_clone_redirect(skb, skb->ifindex, how & LS_ON_LOOPBACK ? 0 : BPF_F_INGRESS);
  return LS_LAST_ACK;
}

// The other end has to hear what arrived; the packet itself is none of its business.
static __noinline int keep_ack(struct __sk_buff* skb, struct packet* p, const struct ls_record* r) {
  if (!cut_to_header(skb, p)) {
    count(LS_COUNT_bad_copy);
    return 0;
  }
  p->payload = 0;
  p->flags &= ~(LS_TCP_FIN | LS_TCP_PSH | LS_TCP_URG);
  // Where the packet begins earlier than what is new in it, the number would be an old one.
  p->seq = r->seq_next;
  return 1;
}

#endif
