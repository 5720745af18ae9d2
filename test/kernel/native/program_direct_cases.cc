// Requests that user space has read and sent past the stacks, in other words: who repeats, acknowledges and resets.
#include "program_judged.h"

namespace longsplice::programs {

namespace {

// Of the client's 20 bytes the backend was sent 50.
class Direct : public Judged {
 public:
  Direct(Rig& rig, Report& report, const Shape& shape = kPlain) : Judged(rig, report, shape) {
    client.flags |= LS_DIRECT;
    client.adv_in += kHeld;
    backend.adv_out += kSent;
    relate();
    client.link_rcv = client.given = judge.request_begin;
    judge.request_end = judge.request_begin + kHeld;
    judge.response_begin = judge.response_end = backend.link_rcv;
    judge.direct = 1;
    judge.state = LS_WAITING;
    client.seq_next = judge.request_end;
    backend.ack_seen = client.seq_next + client.delta_seq - kSent;
  }
  Segment asked() const {
    Segment segment = request(std::string(kHeld, 'x'));
    segment.seq = judge.request_begin;
    return segment;
  }
  static constexpr uint32_t kHeld = 20, kSent = 50;
};

void direct_again(Rig& rig, Report& report) {
  on_both_families(report, [&](const Shape& shape) {
    Direct link(rig, report, shape);
    for (const auto& [from, length] : {std::pair{0, 20}, {0, 5}, {7, 13}, {19, 1}}) {
      const Segment part = part_of(link.asked(), static_cast<size_t>(from), static_cast<size_t>(length));
      link.expect_dropped(link.arrive(link.client, part), "repeated 1");
      expect_event(rig, report, LS_EVENT_AGAIN);
    }
    link.acknowledge();
    link.expect_acknowledges(link.asked(), link.client.seq_next - 1, "spliced 1, probes 1");
    link.answer();
    // One that passes by a verdict after it is repeated by the client alone.
    const Segment next = link.request(kAsk);
    link.expect_passes(next);
    expect_repeats(link, next, next);
  });
}

// Nobody acknowledges the request before the backend does.
void direct_unacknowledged(Rig& rig, Report& report) {
  Direct link(rig, report);
  Segment early = link.response("");
  early.ack -= Direct::kSent;
  Segment want = spliced(early, link.backend, link.client);
  want.ack = link.judge.request_begin;
  link.expect_spliced(link.backend, early, want);
  const Segment own = link.from_stack_of(link.client);
  const Run run = link.leave(link.client, own);
  report.equal("counts", rig.counted(), std::string("stack_acks 1"));
  const size_t ack_at = run.packet.size() - own.options.size() - 12;
  const uint32_t ack = uint32_t{run.packet[ack_at]} << 24 | uint32_t{run.packet[ack_at + 1]} << 16 |
                       uint32_t{run.packet[ack_at + 2]} << 8 | run.packet[ack_at + 3];
  report.equal("not more than the request", static_cast<int32_t>(ack - link.judge.request_begin) <= 0, true);
}

// A backend that may not have the request would wait for a lower number.
void direct_reset(Rig& rig, Report& report) {
  {
    Direct link(rig, report);
    link.expect_dropped(link.arrive(link.client, with(link.request(""), kRst)), "resuming 1, resets 1");
    report.equal("held", link.client.ends & LS_HELD, uint32_t{LS_HELD});
  }
  Direct link(rig, report);
  link.acknowledge();
  const Segment in = with(link.request(""), kRst);
  link.expect_spliced(link.client, in, spliced(in, link.client, link.backend), Sums::none,
                      "spliced 1, resets 1");
}

}  // namespace

std::vector<Case> direct_cases() {
  return {
      {"direct", "let user space repeat what it sent", direct_again},
      {"direct", "leave it to the backend to acknowledge that", direct_unacknowledged},
      {"direct", "leave it to user space to reset in time", direct_reset},
  };
}

}  // namespace longsplice::programs
