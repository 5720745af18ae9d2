// Random segments of random links, against the model.
#include <algorithm>
#include <random>

#include "program_cases.h"

namespace longsplice::programs {

namespace {

constexpr uint32_t kSeed = 20'240'229;
constexpr int kSegments = 2'000;

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  // Below `limit`.
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(engine_() % limit); }
  bool one_in(uint32_t times) { return below(times) == 0; }
  uint8_t byte() { return static_cast<uint8_t>(engine_()); }
  // Often near the ends of the range.
  uint32_t number() {
    static constexpr uint32_t kEdges[] = {0, 0x7fffffff, 0x80000000, 0xffffffff};
    return one_in(3) ? kEdges[below(4)] + below(64) - 32 : static_cast<uint32_t>(engine_());
  }
  Bytes bytes(uint32_t length) {
    Bytes bytes(length);
    for (uint8_t& byte : bytes) byte = this->byte();
    return bytes;
  }

 private:
  std::mt19937 engine_;
};

Bytes random_option(Random& random, uint32_t ack) {
  switch (random.below(6)) {
    case 0:
      return timestamps_option(random.number(), random.number());
    case 1: {
      std::vector<uint32_t> edges;
      const uint32_t blocks = 1 + random.below(4);
      for (uint32_t i = 0; i < 2 * blocks; i++) edges.push_back(ack + random.below(100'000));
      return sack_option(edges);
    }
    case 2:
      return random.one_in(8) ? Bytes{0} : nops(1);
    case 3: {
      Bytes unknown = random.bytes(2 + random.below(6));
      unknown[1] = static_cast<uint8_t>(unknown.size());
      return unknown;
    }
    case 4:
      // Anything at all.
      return random.one_in(4) ? random.bytes(1 + random.below(12)) : nops(2);
    default:
      return nops(1);
  }
}

Bytes random_options(Random& random, uint32_t ack) {
  if (random.one_in(3)) return joined({nops(2), timestamps_option(random.number(), random.number())});
  Bytes options;
  for (uint32_t i = random.below(6); i > 0; i--) {
    const Bytes one = random_option(random, ack);
    if (options.size() + one.size() <= 40) options.insert(options.end(), one.begin(), one.end());
  }
  while (options.size() % 4 != 0) options.push_back(random.one_in(2) ? 1 : 0);
  return options;
}

void randomise(Random& random, ls_record& record) {
  for (__u32* number : {&record.adv_in, &record.adv_out, &record.local_rcv, &record.local_snd,
                        &record.ts_delta, &record.ts_advance, &record.last_tsval}) {
    *number = random.number();
  }
  record.remote_wscale = static_cast<uint8_t>(random.below(15));
  record.local_wscale = static_cast<uint8_t>(random.below(15));
  record.ts_ready = random.one_in(8) ? 0 : 1;
}

// Of a remote end or a stack; what the link's course depends on stays within what the other cases look at.
void randomise(Random& random, Segment& segment) {
  static constexpr uint8_t kFlags[] = {kAck, kAck | kPsh, kAck | kUrg, kAck | kPsh | 0x80, kAck | 0x40};
  segment.flags = kFlags[random.below(5)];
  segment.reserved = static_cast<uint8_t>(random.below(16));
  segment.window = static_cast<uint16_t>(random.number());
  segment.urgent = static_cast<uint16_t>(random.number());
  segment.options = random_options(random, segment.ack);
  if (!segment.v6 && random.one_in(10)) segment.ip_options = nops(4 * random.below(11));
  segment.payload = random.bytes(random.one_in(3) ? 0 : random.below(random.one_in(20) ? 1'400 : 40));
  if (random.one_in(5)) segment.padding = random.bytes(random.below(20));
}

Sums random_sums(Random& random, const Rig& rig, bool cut = false) {
  const auto sums = static_cast<Sums>(random.below(3));
  return rig.takes(sums) && (!cut || rig.takes_cut(sums)) ? sums : Sums::none;
}

// One segment that arrives at a link.
void try_linked(Random& random, Rig& rig, Report& report, Link& link, ls_record& from, Segment in) {
  const ls_record& to = &from == &link.client ? link.backend : link.client;
  // Often around the first byte of the link, where old data ends.
  in.seq = from.link_rcv + (random.one_in(2) ? random.below(50) : random.below(1'000'000)) - random.below(50);
  in.ack = from.ack_seen + random.below(1'000'000) - random.below(1'000);
  const bool old = !in.payload.empty() && after(from.link_rcv, in.seq);
  const bool only_old = old && !after(end_of(in), from.link_rcv);
  const Sums sums = random_sums(random, rig, old && !only_old);
  if (only_old) {
    link.expect_passed(link.arrive(from, in, sums), to_stack(in, from), "old_data 1", sums);
  } else if (old) {
    link.expect_passed(link.arrive(from, in, sums), reminder_to_stack(in, from),
                       "split_acks 1, old_data_cut 1", after_cut(sums));
  } else {
    // The first timestamp is taken from the clock; that one has cases of its own.
    if (from.ts_ready == 0) in.options = nops(4);
    const ls_record noted = from;
    link.expect_spliced(from, in, spliced(in, from, to), sums);
    in.seq = arrived(in, noted);
    report.equal("seq_next", from.seq_next, later(noted.seq_next, end_of(in)));
    report.equal("ack_seen", from.ack_seen, later(noted.ack_seen, in.ack));
    report.equal("window", from.window, uint32_t{in.window} << from.remote_wscale);
    report.equal("bytes", from.bytes, noted.bytes + in.payload.size());
  }
}

void try_copy(Random& random, Rig& rig, Link& link, const ls_record& record, Segment in) {
  in.seq = random.number();
  in.ack = random.number();
  const Sums sums = random_sums(random, rig, true);
  const Run run = link.arrive(record, in, sums, Tag::stack_copy);
  link.expect_passed(run, told_to_stack(in, record), "split_acks 1", after_cut(sums));
}

void try_linked_stack(Random& random, Rig& rig, Link& link, ls_record& record, Segment out) {
  ls_record& peer = &record == &link.client ? link.backend : link.client;
  peer.window = random.number() & 0x3fffffff;
  out.seq = record.local_snd - random.below(1'000);
  out.ack = record.local_rcv + random.below(1'000) - random.below(1'000);
  const Sums sums = random_sums(random, rig);
  const Segment want = from_linked_stack(out, record, peer);
  const char* counts = out.payload.empty() ? "stack_acks 1" : "stack_data 1";
  link.expect_passed(link.leave(record, out, sums), want, counts, sums);
}

void try_local(Random& random, Rig& rig, Report& report, Link& link, ls_record& record, Segment in,
               Segment out) {
  const Sums sums = random_sums(random, rig);
  in.seq = random.number();
  in.ack = random.number();
  out.seq = random.number();
  out.ack = random.number();
  record.phase = LS_LOCAL;
  link.expect_passed(link.arrive(record, in, sums), to_stack(in, record), "local_in 1", sums);
  const Segment want = from_local_stack(out, record);
  const bool says = !out.payload.empty() || (out.flags & kFin) != 0;
  const uint32_t sent = says ? later(record.local_sent, end_of(out)) : record.local_sent;
  link.expect_passed(link.leave(record, out, sums), want, "local_out 1", sums);
  report.equal("sent", record.local_sent, sent);
  record.phase = LS_LINKED;
}

void random_segments(Rig& rig, Report& report) {
  Random random(kSeed);
  const std::vector<Shape> shapes = all_shapes();
  for (int i = 0; i < kSegments; i++) {
    const Shape& shape = shapes[random.below(static_cast<uint32_t>(shapes.size()))];
    report.where = "segment " + std::to_string(i) + ", " + shape.name() + ": ";
    Link link(rig, report, shape);
    randomise(random, link.client);
    randomise(random, link.backend);
    link.relate();
    ls_record& record = random.one_in(2) ? link.client : link.backend;
    Segment in = &record == &link.client ? link.from_client() : link.from_backend();
    Segment out = link.from_stack_of(record);
    randomise(random, in);
    randomise(random, out);
    switch (random.below(6)) {
      case 0:
        try_copy(random, rig, link, record, in);
        break;
      case 1:
        try_linked_stack(random, rig, link, record, out);
        break;
      case 2:
        try_local(random, rig, report, link, record, in, out);
        break;
      default:
        try_linked(random, rig, report, link, record, in);
    }
  }
}

// The model is not asked: what one end counts is what the other one acknowledges, and comes back as it was.
void there_and_back(Rig& rig, Report& report) {
  Random random(kSeed + 1);
  for (int i = 0; i < 200; i++) {
    report.where = "link " + std::to_string(i) + ": ";
    Link link(rig, report);
    randomise(random, link.client);
    randomise(random, link.backend);
    link.client.ts_ready = link.backend.ts_ready = 1;
    link.client.last_tsval = link.backend.last_tsval = 0;
    link.client.ts_delta &= 0xffff;
    link.backend.ts_delta &= 0xffff;
    link.relate();
    const uint32_t tsval = 1'000 + random.below(1'000'000);
    Segment in = link.from_client();
    in.seq += random.below(100'000);
    in.payload = {'b'};
    in.options = joined({nops(2), timestamps_option(tsval, 0)});
    const Segment sent = spliced(in, link.client, link.backend);
    link.expect_spliced(link.client, in, sent);
    // The backend has all before it, reports the segment, and echoes its timestamp.
    Segment back = link.from_backend();
    back.ack = sent.seq;
    back.options = joined({timestamps_option(5, tsval + link.client.ts_delta), nops(2),
                           sack_option({sent.seq + 10, sent.seq + 20}), nops(2)});
    const Run run = link.arrive(link.backend, back);
    Segment want = spliced(back, link.backend, link.client);
    want.ack = in.seq;
    want.options = joined({timestamps_option(5 + link.backend.ts_delta, tsval), nops(2),
                           sack_option({in.seq + 10, in.seq + 20}), nops(2)});
    report.frame("answer", run.packet, frame_of(want));
    rig.counted();
  }
}

}  // namespace

std::vector<Case> random_cases() {
  return {
      {"random", "segments become what the model makes of them", random_segments},
      {"random", "numbers come back as they went", there_and_back},
  };
}

}  // namespace longsplice::programs
