// Requests that go past the stacks although user space has read them: the client's packet is handed over instead of being
// received, and what becomes of it is sent as a segment. Who repeats it, should it be lost, is the client, as with everything
// that passes on a link; and no stack has to be told what was acknowledged.
#include <algorithm>

#include "links.h"
#include "record_pair.h"

namespace longsplice::packet {

namespace {
// What gets lost so often may never arrive that way: the path may have become narrower, which the stack finds out.
constexpr uint32_t kMostSendings = 2;
// Sent together they cost less; but backends are to have something to do while the rest of a long round is read.
constexpr size_t kMostHeldBack = 8;
}  // namespace

std::string_view Links::handed(LinkId id) const {
  const Link& link = at(id);
  if (!link.judge || !resumed(id)) return {};
  const ls_judge& j = judge(link);
  return {j.head, std::min<size_t>(j.handed, LS_HEAD_MAX)};
}

// Only if nobody has acknowledged the request, and the backend's connection has been part of a link before: whether its
// addresses are changed on the way is found out by what goes through the stack.
bool Links::passes_stacks(const Candidate& client, const Candidate& backend, const Terms& terms) const {
  if (!terms.verdict || !client.known || !backend.known || terms.verdict->length == 0) return false;
  const ls_record& c = sockets_.record(client.parked.record);
  const ls_record& b = sockets_.record(backend.parked.record);
  const uint32_t read = client.parked.first_rcv + static_cast<uint32_t>(client.socket.received) + c.adv_in;
  if (real_rcv(c) != read || read - load(c.given) != terms.verdict->length) return false;
  // One segment, or there would be more than one to repeat.
  const uint32_t options = (b.flags & LS_TIMESTAMPS) != 0 ? kTimestampBytes : 0;
  const uint32_t fits = std::min(backend.parked.fit.segment - options, load(b.window));
  return terms.to_backend <= fits && terms.to_client == 0 && segments_.can_send(b);
}

void Links::send_past_stack(LinkId id, std::string_view bytes) {
  Link& link = at(id);
  if (bytes.size() != link.direct) return;
  if (link.sendings++ >= kMostSendings) return take_by_stack(id);
  direct_.push_back({id, record(link.client).phase >> 2, bytes});
  if (direct_.size() >= kMostHeldBack) flush();
}

// Its request is still the one that the link was made for, and has no response. A verdict on the next one takes `direct` away
// before it says that it waits: whoever reads them the other way round takes that one for this.
bool Links::is_direct(const Link& link) const {
  const ls_judge& j = judge(link);
  return link.direct != 0 && load(j.state) == LS_WAITING && load(j.direct) != 0;
}

// The stack gets the numbers that were kept for the request, and sends it: once more, if it was sent already.
void Links::take_by_stack(LinkId id) {
  Link& link = at(id);
  ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  if (!hold(c, b)) return;
  if (!is_direct(link)) return let_go(c, b, LS_LINKED);
  b.adv_out -= link.direct;
  b.local_snd += link.direct;
  c.link_rcv = real_rcv(c);
  raise(c.given, c.link_rcv);
  c.flags &= static_cast<uint8_t>(~LS_DIRECT);
  ls_judge& j = judge(link);
  j.request_begin = j.request_end;
  j.direct = 0;
  link.held = link.direct = 0;
  let_go(c, b, LS_LINKED);
  link.owner->request_lost();
}

// The backend may believe in a larger window than the client's: that of the socket's own stack, or of another client. It sends
// the response into it, and what the client has no room for is lost. A smaller window is believed only with a number that is
// new (tcp_may_update_window); that of no byte at all will do, and the programs give this one that of the end of the request.
void Links::narrow_window(const Link& link) {
  const ls_record& c = record(link.client);
  ls_record& b = record(link.backend);
  uint32_t acked = load(c.ack_seen) + c.delta_ack;
  if (after(b.link_rcv, acked)) acked = b.link_rcv;
  const uint32_t edge = acked + load(c.window);
  if (!after(load(b.told), edge) || !segments_.can_send(b)) return;
  store(b.told, edge);
  segments_.add(b, b.local_snd, {}, kNobody);
  // At once: in front of the request, whoever sends that.
  segments_.send([](LinkId) {});
}

void Links::flush() {
  // What `take_by_stack` asks for is sent in a later round: nothing is added here meanwhile.
  for (const Direct& each : direct_) {
    const Link& link = at(each.link);
    const ls_record& c = record(link.client);
    const ls_record& b = record(link.backend);
    const bool stands = link.owner != nullptr && link.direct == each.bytes.size() && is_direct(link) &&
                        load(c.phase) == (each.number << 2 | LS_LINKED);
    if (!stands) continue;
    // The client's stack has acknowledged it before the link stood: it was repeated, or had something else to say.
    if (load(c.given) != judge(link).request_begin) {
      take_by_stack(each.link);
      continue;
    }
    segments_.add(b, b.local_snd - link.direct, each.bytes, each.link);
  }
  direct_.clear();
  // A stack does not know what it has to tell, or that its remote end believes in the client's window.
  for (const uint32_t index : owing_) {
    ls_record& b = sockets_.record(index);
    const bool alone = (load(b.ends) & LS_OVER) == 0 && state_of(load(b.phase)) == LS_LOCAL;
    // A window of nothing would be believed as well, and one that the stack opens later has no new number.
    const bool open = room_of(b) >> (b.local_wscale & 15) != 0;
    if (!alone || !open || !segments_.can_send(b)) continue;
    segments_.add(b, b.local_snd + 1, {}, kNobody);
    store(b.told, real_rcv(b) + room_of(b));
  }
  owing_.clear();
  segments_.send([&](LinkId id) {
    if (id != kNobody) take_by_stack(id);
  });
}

}  // namespace longsplice::packet
