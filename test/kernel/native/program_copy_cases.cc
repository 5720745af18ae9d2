// Split acknowledgement: copies of packets for the stack of a parked socket.
#include "program_cases.h"

namespace longsplice::programs {

namespace {

constexpr uint32_t kUnacked = 120;

// The client's stack has sent something that is not acknowledged yet.
void leave_unacknowledged(Link& link) {
  link.client.local_acked -= kUnacked;
  link.client.ack_seen -= kUnacked;
}

void one_for_each_news(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    report.where = shape.name() + ": ";
    Link link(rig, report, shape);
    leave_unacknowledged(link);
    // Nothing, a part, all of it: until then the stack is told; then no more.
    for (const uint32_t more : {0u, 20u, 100u, 0u}) {
      const bool told = after(link.client.local_snd, link.client.local_acked);
      Segment in = link.from_client();
      in.ack += more;
      in.payload = Bytes(more, 'x');
      const Segment want = spliced(in, link.client, link.backend);
      const Bytes frame = frame_of(in);
      const Run run = link.arrive(link.client, in);
      report.frame("packet", run.packet, frame_of(want));
      report.equal("counts", rig.counted(), std::string("spliced 1"));
      report.equal("copies", run.copies.size(), size_t{told ? 1u : 0u});
      for (const Copy& copy : run.copies) {
        report.frame("copy", copy.packet, frame);
        if (copy.tag) {
          report.equal("tag", static_cast<int>(*copy.tag), static_cast<int>(Tag::stack_copy));
        }
      }
    }
    report.equal("told of", link.client.local_acked, link.client.local_snd);
  }
}

void none_without_ack(Rig& rig, Report& report) {
  Link link(rig, report);
  leave_unacknowledged(link);
  Segment in = link.from_client();
  in.flags = kPsh;
  in.payload = Bytes(3, 'x');
  const Run run = link.arrive(link.client, in);
  report.equal("copies", run.copies.size(), size_t{0});
}

void expect_cut(Link& link, const Segment& in, const Segment& want, Sums sums = Sums::none) {
  link.expect_passed(link.arrive(link.client, in, sums, Tag::stack_copy), want, "split_acks 1",
                     after_cut(sums));
}

void cut(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    for (const Sums sums : {Sums::none, Sums::complete, Sums::partial}) {
      if (!rig.takes(sums)) continue;
      for (const size_t length : {0u, 1u, 2u, 3u, 1'447u, 1'448u}) {
        report.where = shape.name() + ", kind " + std::to_string(static_cast<int>(sums)) + ", " +
                       std::to_string(length) + " bytes: ";
        if (length > 0 && !rig.takes_cut(sums)) continue;
        Link link(rig, report, shape);
        Segment in = link.from_client();
        in.payload = Bytes(length, 0xf3);
        in.options = joined({nops(2), timestamps_option(61'000'000, 60'500'000)});
        Segment want = in;
        want.seq = 1'000;
        want.ack = 7'000;
        want.payload.clear();
        want.options = joined({nops(2), timestamps_option(61'000'000, 60'498'766)});
        expect_cut(link, in, want, sums);
        report.equal("packets", link.client.packets, __u32{0});
      }
    }
  }
}

void cut_with_odd_headers(Rig& rig, Report& report) {
  const std::vector<Bytes> options = {
      {},
      nops(40),
      joined({nops(1), timestamps_option(61'000'000, 60'500'000), nops(1)}),
      joined({nops(2), sack_option({97'100, 97'200, 97'300, 97'400, 97'500, 97'600, 97'700, 97'800})}),
      joined({timestamps_option(1, 2), nops(3), sack_option({97'100, 97'200}), {0}}),
  };
  for (const bool v6 : {false, true}) {
    for (const Bytes& some : options) {
      for (const size_t ip_words : {0u, 1u, 10u}) {
        if (v6 && ip_words > 0) continue;
        Link link(rig, report, {v6, false, false});
        Segment in = link.from_client();
        in.options = some;
        in.ip_options = Bytes(ip_words * 4, 1);
        in.payload = Bytes(33, 0x55);
        in.padding = Bytes(7, 0x99);
        expect_cut(link, in, told_to_stack(in, link.client));
        in.payload.clear();
        expect_cut(link, in, told_to_stack(in, link.client));
      }
    }
  }
}

void clamped(Rig& rig, Report& report) {
  for (const bool v6 : {false, true}) {
    for (const uint32_t beyond : {0u, 1u, 1'000'000u}) {
      Link link(rig, report, {v6, false, false});
      Segment in = link.from_client();
      in.ack += beyond;
      Segment want = in;
      want.seq = 1'000;
      want.ack = 7'000;
      expect_cut(link, in, want);
      in.ack -= beyond + 1;
      want.ack = 7'000 - 1;
      expect_cut(link, in, want);
    }
  }
}

// The remote end has got the stack's bytes without the stack.
void until_sent(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    report.where = shape.name() + ": ";
    Link link(rig, report, shape);
    constexpr uint32_t kPart = 30;
    link.client.local_acked = link.client.local_sent -= kUnacked;
    for (const uint32_t known : {0u, kPart, kUnacked, kUnacked}) {
      const bool told = link.client.local_acked != link.client.local_snd;
      link.client.local_sent = link.client.local_snd - kUnacked + known;
      const Segment in = link.from_client();
      report.equal("copies", link.arrive(link.client, in).copies.size(), size_t{told ? 1u : 0u});
      report.equal("counts", rig.counted(), std::string("spliced 1"));
      report.equal("told of", link.client.local_acked, link.client.local_sent);
      Segment want = in;
      want.seq = 1'000;
      want.ack = 7'000 - kUnacked + known;
      expect_cut(link, in, want);
    }
  }
}

void nothing_but_the_acknowledgement(Rig& rig, Report& report) {
  for (const uint8_t flags : {kFin, kPsh, kRst, kUrg}) {
    report.where = "flag " + std::to_string(flags) + ": ";
    Link link(rig, report);
    Segment in = link.from_client();
    in.flags = static_cast<uint8_t>(kAck | flags);
    in.payload = Bytes(4, 'x');
    in.urgent = 2;
    Segment want = in;
    want.seq = 1'000;
    want.ack = 7'000;
    want.flags = kAck;
    want.payload.clear();
    expect_cut(link, in, want);
    report.equal("ends", link.client.ends, 0u);
  }
}

}  // namespace

std::vector<Case> copy_cases() {
  return {
      {"copy", "goes out while something is not acknowledged", one_for_each_news},
      {"copy", "does not go out for what acknowledges nothing", none_without_ack},
      {"copy", "is cut to its header", cut},
      {"copy", "is cut to headers of every length", cut_with_odd_headers},
      {"copy", "acknowledges no more than was sent", clamped},
      {"copy", "goes out until the stack has sent all and knows that it arrived", until_sent},
      {"copy", "says nothing but an acknowledgement", nothing_but_the_acknowledgement},
  };
}

}  // namespace longsplice::programs
