// How links return to the stacks of their sockets, or end, and what has to be told to the programs before they can.
#include "links.h"
#include "record_pair.h"

namespace longsplice::packet {

void Links::keep_rest(LinkId id) {
  Link& link = at(id);
  const uint32_t from_client = beyond_budget(link.client);
  const uint32_t from_backend = beyond_budget(link.backend);
  ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  if ((from_client | from_backend) == 0 || !hold(c, b)) return;
  if (from_client != 0) keep_beyond(link.client, link.backend, from_client);
  if (from_backend != 0) keep_beyond(link.backend, link.client, from_backend);
  let_go(c, b, LS_LINKED);
}

// Both are held. The numbers go on where the link left them: what each end has sent.
void Links::return_to_stacks(const Link& link, uint32_t from_client, uint32_t from_backend) {
  ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  settle(c, from_client, from_backend - link.backend.unread + b.delta_seq);
  settle(b, from_backend, from_client - link.client.unread + c.delta_seq);
  let_go(c, b, LS_LOCAL);
}

bool Links::release(LinkId id) {
  const Link& link = at(id);
  if (((load(record(link.client).ends) | load(record(link.backend).ends)) & LS_HELD) != 0) {
    // The stacks have the right numbers, or one that makes the end ask for it.
    cut(id);
    return false;
  }
  close_silently_later(link.client.fd);
  close_silently_later(link.backend.fd);
  if (link.judge) record(link.client).judge = record(link.backend).judge = judge_of_ended_;
  leave_link(at(id));
  return true;
}

void Links::cut(LinkId id) {
  Link& link = at(id);
  ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  if (hold(c, b)) return_to_stacks(link, load(c.seq_next), load(b.seq_next));
  leave_link(link);
}

bool Links::take_back(LinkId id) {
  const Link& link = at(id);
  ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  const auto can_return = [&] {
    // What slipped into a queue, and was sent again past it, would be counted twice.
    const bool unseen = (c.flags & LS_UNSEEN) != 0 || must_wait(c) || must_wait(b);
    return !unseen && both_acknowledged(c, b) && ((c.ends | b.ends) & (LS_FIN | LS_RESET)) == 0;
  };
  // Packets wait meanwhile: so it is not held in vain.
  if (!resumed(id) && !can_return()) return false;
  const bool held = hold(c, b);
  // A packet that began before may still raise them: what is looked at is what the stacks go on from.
  const uint32_t from_client = load(c.seq_next), from_backend = load(b.seq_next);
  if (held && !can_return()) {
    let_go(c, b, LS_LINKED);
    return false;
  }
  if (held) return_to_stacks(link, from_client, from_backend);
  if ((b.ends & LS_OWES) != 0 || after(load(b.told), real_rcv(b) + room_of(b)))
    owing_.push_back(link.backend.record);
  leave_link(at(id));
  return true;
}

// The numbers are what they were.
bool Links::undo(LinkId id) {
  ls_record& c = record(at(id).client);
  ls_record& b = record(at(id).backend);
  if (!hold(c, b)) return false;
  const bool passed = (c.bytes | b.bytes) != 0 || ((c.ends | b.ends) & (LS_FIN | LS_RESET)) != 0;
  let_go(c, b, passed ? LS_LINKED : LS_LOCAL);
  if (!passed) leave_link(at(id));
  return !passed;
}

// Bytes that a stack received while its link was made stay with user space: the link begins behind them.
void Links::begin_later(Half& half, const Half& other, uint32_t bytes) {
  ls_record& r = record(half);
  half.begin += bytes;
  r.local_rcv += bytes;
  r.link_rcv += bytes;
  r.seq_next += bytes;
  raise(r.given, real_rcv(r));
  r.delta_seq -= bytes;
  record(other).delta_ack += bytes;
  // What this stack was told with the number before was thrown away by it.
  r.local_acked = r.local_snd - 1;
}

// Bytes that lie behind a budget, all of which has been read from the stack, and that it received while the link was made:
// the next request behind a body, or an answer before the end of its request.
uint32_t Links::beyond_budget(const Half& half) const {
  const ls_record& r = record(half);
  uint32_t unread = 0;
  if ((r.flags & LS_BUDGET) == 0 || half.unread != 0 || after(r.budget_end, real_rcv(r))) return 0;
  return read_unread(half.fd, unread) ? unread - half.kept : 0;
}

// They stay in the queue. The stack believes no copy that has a number before them (RFC 9293, 3.10.7.4).
void Links::keep_beyond(Half& half, const Half& other, uint32_t bytes) {
  half.kept += bytes;
  record(half).budget_end += bytes;
  begin_later(half, other, bytes);
}

void Links::keep_early_request(LinkId id, uint32_t bytes) {
  Link& link = at(id);
  ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  if (!hold(c, b)) return;
  begin_later(link.client, link.backend, bytes);
  c.link_rcv = real_rcv(c);
  ls_judge& j = judge(link);
  j.request_begin += bytes;
  j.request_end += bytes;
  j.version = 0;
  j.early = 1;
  let_go(c, b, LS_LINKED);
}

bool Links::await_quiet(LinkId id) {
  ls_record& c = record(at(id).client);
  ls_record& b = record(at(id).backend);
  if (!hold(c, b)) return false;
  const bool waits = !everything_acknowledged(b, c);
  if (waits && !spent(b)) {
    b.budget_end = b.seq_next;
    b.flags |= LS_BUDGET;
    store(b.ends, b.ends & ~uint32_t{LS_SPENT});
  }
  let_go(c, b, LS_LINKED);
  return waits;
}

void Links::pause_client(LinkId id) {
  ls_record& c = record(at(id).client);
  ls_record& b = record(at(id).backend);
  if (!hold(c, b)) return;
  if (after(c.budget_end, c.seq_next)) c.budget_end = c.seq_next;
  let_go(c, b, LS_LINKED);
}

}  // namespace longsplice::packet
