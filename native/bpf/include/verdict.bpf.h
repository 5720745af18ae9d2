// The verdict on a client's packet: a whole plain request that leads to the backend of its link passes, everything else
// returns to user space. The kernel does not understand HTTP, it recognises the plain case; not to recognise it costs
// time and nothing else. docs/verdicts.md tells what is plain.
#ifndef LONGSPLICE_VERDICT_BPF_H
#define LONGSPLICE_VERDICT_BPF_H

#include "response.bpf.h"
#include "resume.bpf.h"

#define LS_PASS 0
#define LS_TO_USER 1  // the link returns at this packet
#define LS_PROBE 2    // of the packet, only that it came goes on: the other end says how far it is
#define LS_WAIT 3     // its acknowledgement goes on; the rest has to come again
#define LS_REFUSE 4
#define LS_ENDS 5  // the backend ended before its response did
#define LS_HAND 6  // the link returns, and user space has the payload already

// The first bytes of the payload, at most LS_HEAD_MAX. Masked here as the verifier of 6.1 does not remember what it knew of a
// number that was put aside, and does not learn from a comparison with 0.
static __always_inline int load_text(struct __sk_buff* skb, const struct packet* p, char* to, __u32 length) {
  asm volatile("%0 += -1; %0 &= 2047; %0 += 1" : "+r"(length));
  return bpf_skb_load_bytes(skb, p->headers, to, length) == 0;
}

// The sum of the pseudo header, apart from the length.
static __always_inline __u64 sum_of_addresses(const struct packet* p) {
  __u64 sum = bpf_htonl(IPPROTO_TCP);
  if (p->family == LS_AF_INET) return sum + p->source[3] + p->target[3];
  for (int i = 0; i < 4; i++) sum += (__u64)p->source[i] + p->target[i];
  return sum;
}

// Whether a segment is as it was sent. tc comes before the stack's look at the checksum: what was judged by a damaged copy would
// not be that what comes again. The first `text` bytes of its payload are in `scratch`.
static __noinline int is_intact(struct __sk_buff* skb, const struct packet* p, __u32 text) {
  // No line, or the card has checked it.
  if (skb->ifindex == LS_LOOPBACK || bpf_csum_level(skb, BPF_CSUM_LEVEL_QUERY) >= 0) return 1;
  const __u32 zero = 0;
  struct bytes* bytes = bpf_map_lookup_elem(&scratch, &zero);
  const __u32 check_at = p->l4 + __builtin_offsetof(struct tcphdr, check);
  __u16 check;
  if (!bytes || bpf_skb_load_bytes(skb, check_at, &check, 2) < 0) return 0;
  // Sent on this host, it has none yet.
  const int none = completed_by_card(skb, check_at);
  if (bpf_skb_store_bytes(skb, check_at, &check, 2, 0) < 0) return 0;
  if (none) return 1;
  if (text < p->payload) return 0;
  __u32 length = p->headers - p->l4;
  if (length < sizeof(struct tcphdr) || length > 60) return 0;
  __builtin_memset(bytes->header, 0, sizeof(bytes->header));
  asm volatile("%0 &= 63" : "+r"(length));
  if (length < sizeof(struct tcphdr) || bpf_skb_load_bytes(skb, p->l4, bytes->header, length) < 0) return 0;
  __u64 sum = sum_of_text(text) + sum_of_addresses(p) + bpf_htonl(length + p->payload);
  const __be32* words = (const __be32*)bytes->header;
  for (int i = 0; i < 15; i++) sum += words[i];
  return fold_to_16(sum) == 0xffff;
}

// The longest path of the route table that the target begins with. 0 stands for none as well as for too many.
#define LS_PATHS 6
static __always_inline const struct ls_path* find_path(struct ls_judge* j, const struct ls_rules* rules,
                                                       __u32 at, __u64 lengths) {
  j->path.table = rules->table;
  j->path.host_class = j->host_class;
  for (int i = 0; i < LS_PATHS; i++) {
    __u32 length = highest_bit(lengths);
    lengths &= ~(1ULL << (length & 63));
    blur(length, j);
    copy_path(j, at, length);
    const struct ls_path* found = bpf_map_lookup_elem(&paths, &j->path);
    if (found || lengths == 0) return found;
  }
  return 0;
}

// Whether a plain request leads to the backend of its link. Not a part of is_plain, as all functions that are open at a
// time have 512 bytes of stack together, each of them rounded up to 32.
__noinline int leads_here(__u32 index) {
  const __u32 zero = 0;
  struct ls_judge* j = bpf_map_lookup_elem(&judges, &index);
  const struct ls_rules* rules = bpf_map_lookup_elem(&rule_set, &zero);
  if (!j || !rules) return 0;
  const __u32 method = j->head_method & 1;
  const __u32 at = 4 + method;
  const struct ls_path* path = find_path(j, rules, at, j->lengths & j->depths);
  if (!path) return 0;
  const __u32 route = path->route[method];
  if (route == LS_RETURNS || path->pool[method] != j->pool) return 0;
  if (path->placed & (1 << method)) {
    j->place.version = j->version;
    j->place.route = route;
    j->place.target = hash_target(index, at, j->target_length);
    const __u32* backend = bpf_map_lookup_elem(&places, &j->place);
    if (!backend || *backend != j->backend) return 0;
  }
  j->passed.route = route;
  return 1;
}

// Where the fields of the head in `j->head` begin, or 0 if it does not pass. They are plain if they begin at `known`.
__noinline __u32 is_plain(__u32 index, __u32 length, __u32 known) {
  const __u32 zero = 0;
  struct ls_judge* j = bpf_map_lookup_elem(&judges, &index);
  const struct ls_rules* rules = bpf_map_lookup_elem(&rule_set, &zero);
  // Version 0 stands for a link whose requests all return, and for a table that is being changed.
  if (!j || !rules || j->version == 0 || j->version != rules->version || length > rules->head_bytes) return 0;
  struct target target;
  if (!read_request_line(j, index, &target)) return 0;
  j->target_length = target.length;
  __u32 at = target.end;
  __u32 hosts = 0;
  for (__u32 i = 0; i < LS_LINES && target.end != known; i++) {
    const __u32 field = read_field(index, at, length);
    if (field & LS_FIELD_END) break;
    if (field == 0 || i == LS_LINES - 1 || i >= rules->fields) return 0;
    hosts += field >> 16;
    at = field & 0xffff;
  }
  return hosts == 1 || target.end == known ? target.end : 0;
}

// A whole request without a body, as far as one can tell at a glance. Others need the stack: it acknowledges a part at once, for
// which a client may wait before it sends the rest (Nagle's algorithm).
static __always_inline int can_be_handed(const struct ls_judge* j, __u32 length) {
  const __u32 method = (__u32)word_at(j->head, 0);
  if (j->early || (method != bpf_htonl(0x47455420) && method != bpf_htonl(0x48454144))) return 0;
  return (__u32)word_at(j->head, length - 4) == bpf_htonl(0x0d0a0d0a);
}

static __always_inline int judge_new(struct __sk_buff* skb, const struct packet* p, const struct ls_record* r,
                                     const struct ls_record* backend, struct ls_judge* j) {
  __u32 length = p->payload;
  if (length < 16 || length > LS_HEAD_MAX || (p->flags & (LS_TCP_FIN | LS_TCP_URG))) return LS_TO_USER;
  const __u32 zero = 0;
  struct bytes* bytes = bpf_map_lookup_elem(&scratch, &zero);
  const __u32 last = j->request_end - j->request_begin;
  // From here on there is nothing to compare the last request with.
  j->request_begin = j->request_end;
  if (!bytes) return LS_TO_USER;
  if (!load_text(skb, p, bytes->text, length)) return LS_TO_USER;
  if (!is_intact(skb, p, length)) {
    count(LS_COUNT_damaged);
    return LS_REFUSE;
  }
  const __u32 known = same_fields(r->judge, last, length);
  j->fields = 0;
  keep_head(r->judge, length);
  const __u32 fields = is_plain(r->judge, length, known);
  const int alive = !(backend->ends & (LS_CLOSES | LS_RESET));
  if (!alive || fields == 0 || !leads_here(r->judge)) return can_be_handed(j, length) ? LS_HAND : LS_TO_USER;
  j->fields = fields;
  j->direct = 0;
  j->request_begin = p->seq;
  j->request_end = packet_end(p);
  j->response_begin = backend->seq_next;
  j->passed.started_ns = bpf_ktime_get_ns();
  __sync_lock_test_and_set(&j->state, LS_WAITING);
  count(LS_COUNT_judged);
  return LS_PASS;
}

// What was sent again has to be what was judged, byte for byte.
static __noinline int judge_repeated(struct __sk_buff* skb, struct packet* p, struct ls_record* r,
                                     const struct ls_record* backend) {
  struct ls_judge* j = judge_of(r);
  const __u32 zero = 0;
  struct bytes* sent = bpf_map_lookup_elem(&scratch, &zero);
  if (!j || !sent) return LS_REFUSE;
  const __u32 end = packet_end(p);
  if (j->direct && !before(p->seq, j->request_begin) &&
      after(j->request_end + r->delta_seq, backend->ack_seen)) {
    count(LS_COUNT_repeated);
    tell(r, backend->peer, LS_EVENT_AGAIN);
    return LS_REFUSE;
  }
  // The backend has it, and says so once more.
  if (!after(end, backend->ack_seen - r->delta_seq)) return LS_PROBE;
  if (before(p->seq, j->request_begin)) return LS_PROBE;
  const __u32 skipped = p->seq - j->request_begin;
  __u32 length = p->payload;
  // Linux sends what it sends again together with what is waiting behind it (tcp_retrans_try_collapse).
  const int more = after(end, j->request_end);
  if (more) length = j->request_end - p->seq;
  if (length == 0 || length > LS_HEAD_MAX || skipped > LS_HEAD_MAX) return LS_REFUSE;
  if (!load_text(skb, p, sent->text, length)) return LS_REFUSE;
  const __u64 sum = sum_if_same(r->judge, skipped, length);
  if (sum == LS_DIFFERS) {
    count(LS_COUNT_unjudged);
    return LS_REFUSE;
  }
  // Neither may it end within those bytes.
  p->flags &= ~LS_TCP_FIN;
  if (more) {
    p->flags &= ~LS_TCP_PSH;
    if (is_jumbo(p) || !cut_to(skb, p, length, sum)) return LS_REFUSE;
    p->payload = length;
    __sync_fetch_and_or(&r->ends, LS_PIPELINES);
  }
  count(LS_COUNT_repeated);
  return LS_PASS;
}

// On a packet of the client that has payload or FIN.
static __noinline int judge_request(struct __sk_buff* skb, struct packet* p, struct ls_record* r,
                                    struct ls_record* backend) {
  struct ls_judge* j = judge_of(r);
  if (!j) return LS_REFUSE;
  // Two processors must not read heads into one place. The other packet is the same one again, or a lie.
  if (__sync_val_compare_and_swap(&j->busy, 0, 1) != 0) return LS_REFUSE;
  int verdict = LS_REFUSE;
  if (before(p->seq, j->request_end)) {
    verdict = judge_repeated(skb, p, r, backend);
    if (verdict == LS_PROBE) count(LS_COUNT_probes);
  } else if (p->seq != j->request_end) {
    // Something before it is missing.
    count(LS_COUNT_unjudged);
    verdict = LS_WAIT;
  } else if (*(volatile __u32*)&j->state == LS_IDLE) {
    verdict = judge_new(skb, p, r, backend, j);
    if (verdict == LS_TO_USER || verdict == LS_HAND) count(LS_COUNT_returned);
  } else {
    // FIN waits as well: half a connection cannot return.
    if (p->payload != 0) __sync_fetch_and_or(&r->ends, LS_PIPELINES);
    count(LS_COUNT_early_requests);
    verdict = LS_WAIT;
  }
  __sync_lock_test_and_set(&j->busy, 0);
  return verdict;
}

// ---- Responses -----------------------------------------------------------------------------------------------------

static __noinline int judge_head(struct __sk_buff* skb, const struct packet* p, struct ls_record* r) {
  struct ls_judge* j = judge_of(r);
  const __u32 zero = 0;
  struct bytes* head = bpf_map_lookup_elem(&scratch, &zero);
  if (!j || !head) return LS_REFUSE;
  __u32 length = p->payload < LS_HEAD_MAX ? p->payload : LS_HEAD_MAX;
  if (length < 16 || !load_text(skb, p, head->text, length)) return LS_TO_USER;
  // Of a longer segment the checksum cannot be told; where the card has not told it, user space reads it.
  const int whole = length == p->payload;
  if (!is_intact(skb, p, length)) {
    if (!whole) return LS_TO_USER;
    count(LS_COUNT_damaged);
    return LS_REFUSE;
  }
  struct response response;
  if (!read_response(head, length, &response)) return LS_TO_USER;
  const int bodiless = j->head_method || response.status == 204 || response.status == 304;
  if (!bodiless && !response.sized) return LS_TO_USER;
  j->body_begin = p->seq + response.head;
  j->response_end = j->body_begin + (bodiless ? 0 : response.sized - 1);
  j->passed.status = response.status;
  j->passed.responded_ns = bpf_ktime_get_ns();
  // More than was announced: user space says what that is.
  if (after(packet_end(p), j->response_end)) return LS_TO_USER;
  __sync_lock_test_and_set(&j->state, LS_RESPONDING);
  return LS_PASS;
}

// On a packet of the backend that has payload or FIN.
static __noinline int judge_response(struct __sk_buff* skb, struct packet* p, struct ls_record* r) {
  const struct ls_judge* j = judge_of(r);
  if (!j) return LS_REFUSE;
  // It comes again when it is too late for the next request.
  if ((p->flags & LS_TCP_FIN) && !after(p->seq, r->seq_next) && after(packet_end(p), r->seq_next))
    __sync_fetch_and_or(&r->ends, LS_CLOSES);
  const __u32 end = p->seq + p->payload;
  switch (*(const volatile __u32*)&j->state) {
    case LS_IDLE:
      // Nobody asked: the client keeps its connection, whatever the backend has to say.
      return after(packet_end(p), r->seq_next) ? LS_TO_USER : LS_PASS;
    case LS_WAITING:
      if (!after(packet_end(p), j->response_begin)) return LS_PASS;
      if (p->seq != j->response_begin) {
        count(LS_COUNT_unexpected);
        return LS_REFUSE;
      }
      return p->payload == 0 ? LS_ENDS : judge_head(skb, p, r);
    default:
      if (after(end, j->response_end)) return LS_ENDS;
      if (p->payload == 0) return p->seq == r->seq_next ? LS_ENDS : LS_REFUSE;
      // The end of the connection comes again by itself, when the response is complete.
      p->flags &= ~LS_TCP_FIN;
      return LS_PASS;
  }
}

// Behind the last byte of a response the next request may pass.
static __noinline int note_response(struct ls_record* r, __u32 client) {
  struct ls_judge* j = judge_of(r);
  if (!j || *(volatile __u32*)&j->state != LS_RESPONDING) return 0;
  if (*(volatile __u32*)&r->seq_next != j->response_end) return 0;
  j->passed.record = client;
  j->passed.kind = LS_EVENT_PASSED;
  j->passed.link = phase_of(r) >> 2;
  j->passed.ended_ns = bpf_ktime_get_ns();
  j->passed.body = j->response_end - j->body_begin;
  if (__sync_val_compare_and_swap(&j->state, LS_RESPONDING, LS_IDLE) != LS_RESPONDING) return 0;
  tell_passed(r, j);
  return 0;
}

#endif
