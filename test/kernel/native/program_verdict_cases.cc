// Links whose requests are judged: which requests go on, which return, and what has to come again.
#include <algorithm>
#include <functional>
#include <random>

#include "program_judged.h"

namespace longsplice::programs {

namespace {

const std::string kSecret = head_of("GET /one HTTP/1.1", "x-secret: 1\r\n");
const std::string kPost = "POST /one HTTP/1.1\r\nhost: test.example\r\ncontent-length: 3\r\n\r\nabc";

// ---- Requests that come at the wrong time, or in the wrong place ---------------------------------------------------

void early(Rig& rig, Report& report) {
  on_both_families(report, [&](const Shape& shape) {
    Judged link(rig, report, shape);
    link.ask(kAsk);
    link.expect_acknowledges(link.request(kAskAnother), link.client.seq_next, "spliced 1, early_requests 1");
    report.equal("noted", link.client.ends, uint32_t{LS_PIPELINES});
    link.answer(kOk);
    link.expect_acknowledges(link.request(kAskAnother), link.client.seq_next, "spliced 1, early_requests 1");
    link.answer("hello");
    // It comes again.
    link.ask(kAskAnother);
  });
}

void gap(Rig& rig, Report& report) {
  Judged link(rig, report);
  for (const uint32_t ahead : {1u, 100u, 1u << 30}) {
    Segment in = link.request(kAsk);
    in.seq += ahead;
    link.expect_acknowledges(in, link.client.seq_next, "spliced 1, unjudged 1");
  }
  report.equal("seq_next", link.client.seq_next, link.client.link_rcv);
  link.ask(kAsk);
}

void several_in_one(Rig& rig, Report& report) {
  Judged link(rig, report);
  link.expect_returns(link.request(kAsk + kAskAnother));
}

void split(Rig& rig, Report& report) {
  for (size_t at = 1; at < kAsk.size(); at++) {
    report.where = std::to_string(at) + ": ";
    Judged link(rig, report);
    link.expect_returns(link.request(kAsk.substr(0, at)));
  }
}

// What user space has read from the stack came before.
void early_bytes(Rig& rig, Report& report) {
  Judged link(rig, report);
  link.judge.early = 1;
  link.expect_returns(link.request(kSecret));
}

// Bytes of the last response are on their way: what is for user space has to wait, and does not get through.
void not_quiet(Rig& rig, Report& report) {
  Judged link(rig, report);
  link.ask(kAsk);
  link.answer();
  Segment in = link.request(kSecret);
  in.ack--;
  in.window = 77;
  link.expect_acknowledges(in, link.client.seq_next, "spliced 1, not_quiet 1, returned 1");
  in.ack++;
  link.expect_taken(link.arrive(link.client, in), "resumed 1, handed 1, returned 1");
  link.expect_handed(in);
  report.equal("window", link.client.window, uint32_t{77} << link.client.remote_wscale);
  // The backend has yet to hear that its response arrived.
  report.equal("owes", link.backend.ends, uint32_t{LS_OWES});
}

void busy(Rig& rig, Report& report) {
  Judged link(rig, report);
  link.judge.busy = 1;
  link.expect_dropped(link.arrive(link.client, link.request(kAsk)), "");
  link.judge.busy = 0;
  link.ask(kAsk);
  report.equal("busy", link.judge.busy, 0u);
}

void urgent(Rig& rig, Report& report) {
  {
    Judged link(rig, report);
    link.expect_returns(with(link.request(kAsk), kUrg));
  }
  Judged link(rig, report);
  // Ahead of the request, and with it when it is sent again.
  Segment in = link.request("");
  in.flags = kAck | kUrg;
  in.urgent = 5;
  Segment want = in;
  want.flags = kAck;
  link.expect_spliced(link.client, in, spliced(want, link.client, link.backend));
  Segment ask = link.request(kAsk);
  link.expect_passes(ask);
  want = ask;
  ask.urgent = want.urgent = 5;
  ask.flags |= kUrg;
  link.expect_spliced(link.client, ask, spliced(want, link.client, link.backend), Sums::none,
                      "spliced 1, repeated 1");
}

// ---- Requests that come again --------------------------------------------------------------------------------------

void again(Rig& rig, Report& report) {
  on_both_families(report, [&](const Shape& shape) {
    Judged link(rig, report, shape);
    const Segment whole = link.request(kAsk);
    link.expect_passes(whole);
    expect_repeats(link, whole, whole);
    for (size_t from = 0; from < kAsk.size(); from++) {
      for (const size_t length : {size_t{1}, size_t{7}, size_t{8}, size_t{9}, kAsk.size()}) {
        const Segment part = part_of(whole, from, std::min(length, kAsk.size() - from));
        expect_repeats(link, part, part);
        // It does not end there.
        if (from + length < kAsk.size()) expect_repeats(link, with(part, kFin), part);
      }
    }
    report.equal("state", link.judge.state, uint32_t{LS_WAITING});
    report.equal("noted", link.client.ends, 0u);
    link.answer();
  });
}

// The stack has not looked at the checksum yet: what was judged by a damaged copy would not be that what comes again.
void damaged(Rig& rig, Report& report) {
  for (const bool v6 : {false, true}) {
    report.where = v6 ? "IPv6: " : "IPv4: ";
    Judged link(rig, report, {v6, false, false});
    const Segment asked = link.request(kAsk);
    Bytes frame = frame_of(asked);
    frame[frame.size() - 3] ^= 1;
    link.expect_dropped(rig.run(Program::outer_ingress, frame), "damaged 1");
    link.expect_passes(asked);
    const Segment answered = link.response(kOk + "hello");
    frame = frame_of(answered);
    frame[frame.size() - 30] ^= 1;
    link.expect_dropped(rig.run(Program::outer_ingress, frame), "damaged 1");
    link.expect_answers(answered);
    link.ask();
  }
}

void changed(Rig& rig, Report& report) {
  Judged link(rig, report);
  const Segment whole = link.request(kAsk);
  link.expect_passes(whole);
  for (size_t at = 0; at < kAsk.size(); at++) {
    Segment other = whole;
    other.payload[at] ^= 1;
    link.expect_dropped(link.arrive(link.client, other), "unjudged 1");
    link.expect_dropped(link.arrive(link.client, part_of(other, at, 1)), "unjudged 1");
    const size_t from = at / 2;
    link.expect_dropped(link.arrive(link.client, part_of(other, from, kAsk.size() - from)), "unjudged 1");
  }
  // Merged with what follows.
  Segment more = link.request(kAsk + kAskAnother);
  more.seq = whole.seq;
  more.payload[3] ^= 1;
  link.expect_dropped(link.arrive(link.client, more), "unjudged 1");
}

void merged(Rig& rig, Report& report) {
  for (const bool v6 : {false, true}) {
    for (const Sums sums : {Sums::none, Sums::partial, Sums::complete}) {
      if (!rig.takes(sums) || !rig.takes_cut(sums)) continue;
      for (const size_t odd : {0u, 1u, 2u, 3u}) {
        report.where = std::string(v6 ? "IPv6, " : "IPv4, ") + std::to_string(odd) + ": ";
        Judged link(rig, report, {v6, false, false});
        const Segment whole = link.request(head_of("GET /" + std::string(odd, 'o') + " HTTP/1.1"));
        link.expect_passes(whole);
        for (const size_t from : {0u, 1u, 10u}) {
          Segment in = part_of(whole, from, whole.payload.size() - from);
          Segment want = in;
          in.payload = joined({in.payload, bytes_of(kPost)});
          in.options = want.options = joined({nops(2), timestamps_option(70'000'000, 60'500'000)});
          in.flags = kAck | kPsh | kFin;
          want.flags = kAck;
          const Bytes expected = frame_of(spliced(want, link.client, link.backend), after_cut(sums));
          const Run run = link.arrive(link.client, in, sums);
          report.frame("packet", run.packet, expected);
          report.equal("sums", wrong_sums(run.packet, after_cut(sums)), std::string());
          report.equal("counts", rig.counted(), std::string("spliced 1, repeated 1"));
        }
        report.equal("noted", link.client.ends, uint32_t{LS_PIPELINES});
        report.equal("seq_next", link.client.seq_next, end_of(whole));
      }
    }
  }
}

// The other end says how far it is; that is all that goes on.
void acknowledged(Rig& rig, Report& report) {
  on_both_families(report, [&](const Shape& shape) {
    Judged link(rig, report, shape);
    const Segment first = link.request(kAsk);
    link.expect_passes(first);
    link.acknowledge();
    const uint32_t probe = link.client.seq_next - 1;
    link.expect_acknowledges(first, probe, "spliced 1, probes 1");
    link.expect_acknowledges(part_of(first, 5, 10), probe, "spliced 1, probes 1");
    link.answer();
    link.expect_acknowledges(first, probe, "spliced 1, probes 1");
    // Of an earlier request.
    const Segment second = link.request(kAskAnother);
    link.expect_passes(second);
    link.expect_acknowledges(first, link.client.seq_next - 1, "spliced 1, probes 1");
    // From within an earlier request into the next one, and beyond it.
    Segment both = first;
    both.payload = joined({first.payload, second.payload});
    link.expect_acknowledges(both, link.client.seq_next - 1, "spliced 1, probes 1");
    both.payload = joined({both.payload, bytes_of(kPost)});
    link.expect_acknowledges(part_of(both, 7, both.payload.size() - 7), link.client.seq_next - 1,
                             "spliced 1, probes 1");
    expect_repeats(link, second, second);
  });
}

// Of the bytes of the first link there are none here any more.
void before_the_link(Rig& rig, Report& report) {
  Judged link(rig, report);
  Segment in = link.request(kAsk);
  in.seq -= 10;
  link.expect_passed(link.arrive(link.client, in), reminder_to_stack(in, link.client),
                     "split_acks 1, old_data_cut 1");
  in.seq -= static_cast<uint32_t>(kAsk.size());
  link.expect_passed(link.arrive(link.client, in), to_stack(in, link.client), "old_data 1");
}

// A backend that answers what it has not got, and a client that then says something else in its place.
void another_in_its_place(Rig& rig, Report& report) {
  Judged link(rig, report);
  const Segment first = link.request(kAsk);
  link.expect_passes(first);
  Segment answer = link.response("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  answer.ack -= static_cast<uint32_t>(kAsk.size());
  link.expect_answers(answer);
  std::string evil = kPost;
  evil.resize(kAsk.size(), 'x');
  link.expect_acknowledges(link.request(evil), link.client.seq_next, "spliced 1, not_quiet 1, returned 1");
  Segment instead = first;
  instead.payload = bytes_of(evil);
  const Run run = link.arrive(link.client, instead);
  report.equal("payload goes on", run.verdict == kRedirect && run.packet.size() == frame_of(instead).size(),
               false);
  rig.counted();
}

// Numbers that begin anew within a request, and in front of it.
void wraps(Rig& rig, Report& report) {
  for (const uint32_t begin : {0xffffffffu, 0xffffffe0u, 0u, 0x7fffffe0u, 0x80000000u}) {
    report.where = std::to_string(begin) + ": ";
    Judged link(rig, report);
    link.client.adv_in = begin - link.client.local_rcv;
    link.backend.adv_in = begin - link.backend.local_rcv - 10;
    link.backend.adv_out = begin - link.backend.local_snd - 20;
    link.relate();
    link.judge.request_begin = link.judge.request_end = link.client.link_rcv;
    link.judge.response_begin = link.judge.response_end = link.backend.link_rcv;
    const Segment whole = link.request(kAsk);
    link.expect_passes(whole);
    expect_repeats(link, whole, whole);
    expect_repeats(link, part_of(whole, 20, 20), part_of(whole, 20, 20));
    link.answer(kOk);
    link.answer("hello");
    expect_told(rig, report, 200, 5);
    link.expect_acknowledges(whole, link.client.seq_next - 1, "spliced 1, probes 1");
    link.ask(kAskAnother);
  }
}

// Whatever the client sends besides its next request is for its own stack. What the backend sends is for the client.
void windows(Rig& rig, Report& report) {
  constexpr uint32_t kRoom = 50'000;
  Judged link(rig, report);
  link.client.edge = link.client.local_rcv + kRoom;
  Segment in = link.response("");
  in.window = 8'192;  // 1 MiB
  Segment want = spliced(in, link.backend, link.client);
  want.window = static_cast<uint16_t>(kRoom >> link.client.local_wscale);
  link.expect_spliced(link.backend, in, want);
  in = link.request("");
  in.window = 8'192;
  link.expect_spliced(link.client, in, spliced(in, link.client, link.backend));
}

// ---- Everything at once --------------------------------------------------------------------------------------------

// What the backend has been sent at each of the client's numbers, counted from the first of the link, if that is only what
// was judged.
class Delivered {
 public:
  Delivered(Report& report, const Judged& link)
      : report_(report), link_(link), first_(link.client.link_rcv) {}

  void take(const Segment& in, const Bytes& out, bool judged) {
    const size_t headers = frame_of(Segment{.v6 = in.v6}).size();
    const Bytes payload(out.begin() + static_cast<long>(headers), out.end());
    const uint32_t seq = uint32_t{out[headers - 16]} << 24 | uint32_t{out[headers - 15]} << 16 |
                         uint32_t{out[headers - 14]} << 8 | out[headers - 13];
    const uint8_t flags = out[headers - 7];
    report_.equal("flags that end or mark something", flags & (kFin | kUrg), 0);
    const uint32_t at = seq - link_.client.delta_seq - first_;
    if (judged) {
      report_.equal("a head begins where the last one ended", at, static_cast<uint32_t>(bytes_.size()));
      report_.equal("a plain one", is_plain(std::string(payload.begin(), payload.end()), plain_table()),
                    true);
      bytes_.insert(bytes_.end(), payload.begin(), payload.end());
    }
    for (size_t i = 0; i < payload.size(); i++) {
      if (at + i < bytes_.size() && bytes_[at + i] == payload[i]) continue;
      report_.fail("an unjudged byte at " + std::to_string(at + i));
      return;
    }
  }
  uint32_t end() const { return first_ + static_cast<uint32_t>(bytes_.size()); }

 private:
  Report& report_;
  const Judged& link_;
  uint32_t first_;
  Bytes bytes_;
};

// A client that sends anything at any place, and a backend that acknowledges and answers when it likes.
void anything(Rig& rig, Report& report) {
  std::mt19937 random(1'127);
  const auto below = [&](size_t limit) { return static_cast<uint32_t>(random() % limit); };
  size_t judged = 0, repeated = 0;
  for (int round = 0; round < 300; round++) {
    report.where = "round " + std::to_string(round) + ": ";
    Judged link(rig, report, {round % 2 == 0, false, false});
    Delivered delivered(report, link);
    std::string sent;  // from the first number of the link
    const uint32_t first = link.client.link_rcv;
    for (int step = 0; step < 60 && (link.client.phase & LS_STATE) == LS_LINKED; step++) {
      if (below(4) == 0) {
        Segment in = link.response("");
        if (below(4) == 0) in.ack = link.backend.ack_seen;
        const uint32_t state = link.judge.state;
        const bool answers = state == LS_RESPONDING || (state == LS_WAITING && below(2) == 0);
        if (answers) in.payload = bytes_of(state == LS_WAITING ? kOk + (below(2) ? "hello" : "he") : "l");
        link.arrive(link.backend, in);
        rig.counted();
        continue;
      }
      // Something new at the end, something old, or both, or nonsense.
      const std::string fresh = below(12) ? (below(2) ? kAsk : kAskAnother) : kPost;
      std::string text = sent + fresh;
      if (below(6) == 0) text[below(text.size())] = static_cast<char>(random());
      const uint32_t from = below(2) ? static_cast<uint32_t>(sent.size()) : below(text.size());
      const uint32_t length =
          below(3) ? static_cast<uint32_t>(text.size()) - from : below(text.size() - from + 1);
      Segment in = link.request(text.substr(from, length));
      in.seq = first + from + (below(20) ? 0 : below(40) - 20);
      if (below(8) == 0) in.flags |= static_cast<uint8_t>(random() & (kFin | kUrg | kPsh));
      if (below(10) == 0) in.ack -= below(10);
      in.urgent = static_cast<uint16_t>(below(20));
      const Run run = link.arrive(link.client, in);
      const std::string counts = rig.counted();
      const bool passes = counts.find("judged") != counts.npos && counts.find("unjudged") == counts.npos;
      if (counts.find("spliced") != counts.npos) delivered.take(in, run.packet, passes);
      judged += passes ? 1 : 0;
      repeated += counts.find("repeated") != counts.npos ? 1 : 0;
      if (passes) sent.append(in.payload.begin(), in.payload.end());
    }
    rig.events();
    rig.passed();
  }
  report.where = "";
  report.equal("enough were judged", judged > 300 ? 300 : judged, size_t{300});
  report.equal("enough were repeated", repeated > 300 ? 300 : repeated, size_t{300});
}

}  // namespace

std::vector<Case> verdict_cases() {
  return {
      {"verdicts", "let a request wait for the last response", early},
      {"verdicts", "let nothing pass behind a gap", gap},
      {"verdicts", "return at several heads in one packet", several_in_one},
      {"verdicts", "return at a head in several packets", split},
      {"verdicts", "do not return while something is under way", not_quiet},
      {"verdicts", "leave it to the stack to put bytes in order", early_bytes},
      {"verdicts", "are passed one at a time", busy},
      {"verdicts", "leave out no byte as urgent", urgent},
      {"verdicts", "hold for the same bytes", again},
      {"verdicts", "hold for no other bytes", changed},
      {"verdicts", "are not given on what was damaged", damaged},
      {"verdicts", "hold for no byte behind", merged},
      {"verdicts", "let the other end say what it has", acknowledged},
      {"verdicts", "leave what was before the link to the stack", before_the_link},
      {"verdicts", "are not forgotten for a head that returned", another_in_its_place},
      {"verdicts", "hold across the ends of the numbers", wraps},
      {"verdicts", "promise a client no room that its stack has not", windows},
      {"verdicts", "let no unjudged byte pass, whatever is sent", anything},
  };
}

}  // namespace longsplice::programs
