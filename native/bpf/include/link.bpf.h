// From one end of a link to the other.
#ifndef LONGSPLICE_LINK_BPF_H
#define LONGSPLICE_LINK_BPF_H

#include "stack.bpf.h"

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
      .flags = p->flags,
      .sack_delta = r->delta_ack,
  };
  // What the peer's own stack has received is acknowledged, whatever the new end says of it.
  if (is_young(peer) && before(to.ack, peer->link_rcv)) to.ack = peer->link_rcv;
  to.window = scale_window(promise(peer, bytes, to.ack), peer->local_wscale);
  if (p->flags & LS_TCP_ACK) note_told(peer, &to);
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

#endif
