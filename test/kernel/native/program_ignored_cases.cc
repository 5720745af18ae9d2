#include "program_cases.h"

namespace longsplice::programs {

namespace {

constexpr Program kPrograms[] = {Program::loopback_egress, Program::outer_ingress, Program::outer_egress};

// Frames that look like the link's but for one thing.
void expect_ignored(Link& link, const Bytes& frame) {
  for (const Program program : kPrograms) link.expect_untouched(program, frame);
}

// An Internet header with other contents; its checksum is not looked at.
Bytes changed(Bytes frame, size_t at, uint8_t value) {
  frame.at(kEthernet + at) = value;
  return frame;
}

void other_connections(Rig& rig, Report& report) {
  for (const bool v6 : {false, true}) {
    Link link(rig, report, {v6, false, false});
    const Segment ours = link.from_client();
    for (size_t byte = 0; byte < 16; byte++) {
      // What makes an IPv4 address of one is not in the packet.
      if (!v6 && byte < 12) continue;
      for (Address Segment::*address : {&Segment::source, &Segment::target}) {
        Segment other = ours;
        (other.*address)[byte] ^= 1;
        expect_ignored(link, frame_of(other));
      }
    }
    for (uint16_t Segment::*port : {&Segment::source_port, &Segment::target_port}) {
      for (const uint16_t bit : {uint16_t{1}, uint16_t{0x8000}}) {
        Segment other = ours;
        other.*port ^= bit;
        expect_ignored(link, frame_of(other));
      }
    }
  }
}

void other_direction(Rig& rig, Report& report) {
  Link link(rig, report);
  // Outside, a packet of the remote end that leaves is somebody's who forwards it, and the other way round.
  link.expect_untouched(Program::outer_egress, frame_of(link.from_client()));
  link.expect_untouched(Program::outer_ingress, frame_of(link.from_stack_of(link.client)));
}

void other_protocols(Rig& rig, Report& report) {
  for (const bool v6 : {false, true}) {
    Link link(rig, report, {v6, false, false});
    const Bytes ours = frame_of(link.from_client());
    for (const uint8_t protocol :
         {uint8_t{0}, uint8_t{1}, uint8_t{17}, uint8_t{44}, uint8_t{58}, uint8_t{255}}) {
      expect_ignored(link, changed(ours, v6 ? 6 : 9, protocol));
    }
    for (const int type : {0x0806, 0x8100, 0x0802, v6 ? 0x0800 : 0x86dd}) {
      Bytes other = ours;
      other[12] = static_cast<uint8_t>(type >> 8);
      other[13] = static_cast<uint8_t>(type);
      expect_ignored(link, other);
    }
  }
}

void fragments(Rig& rig, Report& report) {
  Link link(rig, report);
  const Bytes ours = frame_of(link.from_client());
  // More to come; the second; the last; the second of those that may not be; the very last byte that an offset tells.
  for (const auto& [high, low] :
       {std::pair{0x20, 0}, {0x20, 1}, {0, 1}, {0x40, 185}, {0x1f, 0xff}, {0x10, 0}}) {
    Bytes fragment = changed(ours, 6, static_cast<uint8_t>(high));
    expect_ignored(link, changed(fragment, 7, static_cast<uint8_t>(low)));
  }
}

void short_frames(Rig& rig, Report& report) {
  for (const bool v6 : {false, true}) {
    Link link(rig, report, {v6, false, false});
    Segment segment = link.from_client();
    segment.options = joined({nops(2), timestamps_option(61'000'000, 60'500'000)});
    segment.payload = Bytes(3, 'x');
    const Bytes whole = frame_of(segment);
    // The header tells more than there is: the stack throws such a packet away, so no number of it counts.
    for (size_t length = kEthernet + 1; length < whole.size(); length++) {
      report.where = (v6 ? "IPv6, " : "IPv4, ") + std::to_string(length) + " bytes: ";
      const Bytes frame(whole.begin(), whole.begin() + static_cast<long>(length));
      if (!rig.takes(frame)) continue;
      expect_ignored(link, frame);
      report.equal("seq_next", link.client.seq_next, link.client.link_rcv);
    }
  }
}

void false_lengths(Rig& rig, Report& report) {
  Link link(rig, report);
  Segment segment = link.from_client();
  segment.payload = Bytes(60, 'x');
  const Bytes whole = frame_of(segment);
  for (int words = 0; words < 5; words++) {
    report.where = "an IP header of " + std::to_string(words) + " words: ";
    expect_ignored(link, changed(whole, 0, static_cast<uint8_t>(0x40 | words)));
    report.where = "a TCP header of " + std::to_string(words) + " words: ";
    expect_ignored(link, changed(whole, 32, static_cast<uint8_t>(words << 4)));
  }
  for (int length = 1; length < 40; length++) {
    report.where = "a packet of " + std::to_string(length) + " bytes: ";
    expect_ignored(link, changed(changed(whole, 2, 0), 3, static_cast<uint8_t>(length)));
  }
  segment.payload.clear();
  report.where = "a TCP header that is longer than the packet: ";
  expect_ignored(link, changed(frame_of(segment), 32, 0x60));
  report.equal("seq_next", link.client.seq_next, link.client.link_rcv);
}

// Of the extensions of IPv6 only the one that tells a length is known.
void extensions(Rig& rig, Report& report) {
  const std::vector<Bytes> kExtensions = {
      {6, 0, 5, 2, 0, 0, 1, 0},                              // router alert
      {6, 0, 1, 4, 0, 0, 0, 0},                              // padding
      {6, 1, 0xc2, 4, 0, 0, 0, 60, 1, 6, 0, 0, 0, 0, 0, 0},  // the length, and more
      {17, 0, 0xc2, 4, 0, 0, 0, 60},                         // the length, and no TCP
      {0, 0, 0xc2, 4, 0, 0, 0, 60},                          // the length, and another extension
  };
  Link link(rig, report, {true, false, false});
  for (const Bytes& extension : kExtensions) {
    report.where = std::to_string(extension[0]) + " " + std::to_string(extension[2]) + ": ";
    Segment segment = link.from_client();
    segment.extension = extension;
    segment.payload = Bytes(32, 'x');
    expect_ignored(link, frame_of(segment));
  }
}

void other_hosts(Rig& rig, Report& report) {
  Link link(rig, report);
  Bytes frame = frame_of(link.from_client());
  frame[0] = 0x02;
  link.expect_untouched(Program::outer_ingress, frame);
}

// Addresses of IPv4 in a header of IPv6 would find the records of IPv4.
void mapped_addresses(Rig& rig, Report& report) {
  Link link(rig, report);
  Segment segment = link.from_client();
  segment.v6 = true;
  expect_ignored(link, frame_of(segment));
}

void let_pass(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    report.where = shape.name() + ": ";
    Link link(rig, report, shape);
    // What another program of ours sent on leaves here, between whatever addresses.
    const Bytes frame = frame_of(link.from_stack_of(link.backend));
    for (const Program program : {Program::loopback_egress, Program::outer_egress}) {
      const Run run = rig.run(program, frame, Sums::none, Tag::translated);
      report.equal("verdict", run.verdict, kNext);
      report.frame("packet", run.packet, frame);
      if (run.tag) report.equal("tag", static_cast<int>(*run.tag), static_cast<int>(Tag::none));
    }
    report.equal("counts", rig.counted(), std::string());
  }
}

}  // namespace

std::vector<Case> ignored_cases() {
  return {
      {"ignored", "packets of other connections", other_connections},
      {"ignored", "packets that go the other way", other_direction},
      {"ignored", "what is not TCP", other_protocols},
      {"ignored", "fragments", fragments},
      {"ignored", "packets that end too early", short_frames},
      {"ignored", "headers that tell lengths that cannot be", false_lengths},
      {"ignored", "extensions of IPv6", extensions},
      {"ignored", "packets of other hosts", other_hosts},
      {"ignored", "addresses of IPv4 in IPv6", mapped_addresses},
      {"ignored", "packets that were translated before", let_pass},
  };
}

}  // namespace longsplice::programs
