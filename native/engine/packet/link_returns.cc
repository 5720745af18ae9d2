// How links return to the stacks of their sockets, or end, and what has to be told to the programs before they can.
#include "links.h"
#include "record_pair.h"

namespace longsplice::packet {

void Links::looked(LinkId id) {
  __atomic_fetch_and(&record(at(id).client).flags, static_cast<uint8_t>(~LS_UNSEEN), __ATOMIC_SEQ_CST);
}

// Both are held. The numbers go on where the link left them.
void Links::return_to_stacks(const Link& link) {
  ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  settle(c, b, link.backend.unread);
  settle(b, c, link.client.unread);
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
  leave_link(at(id));
  return true;
}

void Links::cut(LinkId id) {
  Link& link = at(id);
  ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  if (hold(c, b)) return_to_stacks(link);
  leave_link(link);
}

bool Links::take_back(LinkId id) {
  const Link& link = at(id);
  ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  const bool held = hold(c, b);
  if (held && (!both_acknowledged(c, b) || ((c.ends | b.ends) & (LS_FIN | LS_RESET)) != 0)) {
    let_go(c, b, LS_LINKED);
    return false;
  }
  if (held) return_to_stacks(link);
  leave_link(at(id));
  return true;
}

// Bytes that a stack received while its link was made stay with user space: the link begins behind them.
void Links::begin_later(Half& half, const Half& other, uint32_t bytes) {
  ls_record& r = record(half);
  half.begin += bytes;
  r.local_rcv += bytes;
  r.link_rcv += bytes;
  r.seq_next += bytes;
  r.delta_seq -= bytes;
  record(other).delta_ack += bytes;
  // What this stack was told with the number before was thrown away by it.
  r.local_acked = r.local_snd - 1;
}

// A backend that may send nothing past us had begun to answer, and not all of it was in the queue when the link was made.
void Links::keep_early_answer(Link& link) {
  ls_record& b = record(link.backend);
  uint32_t unread = 0;
  if (b.budget_end != link.backend.begin || !read_unread(link.backend.fd, unread)) return;
  const uint32_t more = unread - link.backend.kept;
  if (more == 0) return;
  link.backend.kept = unread;
  b.budget_end += more;
  begin_later(link.backend, link.client, more);
}

void Links::keep_early_request(LinkId id, uint32_t bytes) {
  Link& link = at(id);
  ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  if (!hold(c, b)) return;
  begin_later(link.client, link.backend, bytes);
  ls_judge& j = judge(link);
  j.request_begin += bytes;
  j.request_end += bytes;
  j.version = 0;
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
  keep_early_answer(at(id));
  if (after(c.budget_end, c.seq_next)) c.budget_end = c.seq_next;
  let_go(c, b, LS_LINKED);
}

}  // namespace longsplice::packet
