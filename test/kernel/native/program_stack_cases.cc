// Parked sockets whose own stacks speak and listen.
#include "program_cases.h"

namespace longsplice::programs {

namespace {

Bytes stamps(uint32_t tsval, uint32_t tsecr) { return joined({nops(2), timestamps_option(tsval, tsecr)}); }

void unlink(Link& link) { link.client.phase = link.backend.phase = LS_LOCAL; }

void local_in(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    for (const Sums sums : {Sums::none, Sums::complete, Sums::partial}) {
      if (!rig.takes(sums)) continue;
      report.where = shape.name() + ": ";
      Link link(rig, report, shape);
      unlink(link);
      link.client.given = 501'000;
      Segment in = link.from_client();
      in.payload = bytes_of("GET / HTTP/1.1\r\n\r\n");
      in.options = joined({stamps(61'000'000, 60'500'000), nops(2), sack_option({97'010, 97'020})});
      Segment want = in;
      want.seq = 1'000;
      want.ack = 7'000;
      want.options = joined({stamps(61'000'000, 60'498'766), nops(2), sack_option({7'010, 7'020})});
      link.expect_passed(link.arrive(link.client, in, sums), want, "local_in 1", sums);
      // Before another link is made the stack must have all of it.
      report.equal("given", link.client.given, 501'018u);
      report.equal("seq_next", link.client.seq_next, 501'000u);
    }
  }
}

void local_out(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    for (const Sums sums : {Sums::none, Sums::complete, Sums::partial}) {
      if (!rig.takes(sums)) continue;
      report.where = shape.name() + ": ";
      Link link(rig, report, shape);
      unlink(link);
      Segment out = link.from_stack_of(link.client);
      out.payload = bytes_of("HTTP/1.1 200 OK\r\n");
      out.flags = kAck | kPsh | kFin;
      out.options = joined({stamps(41'000'000, 60'500'000), nops(2), sack_option({1'010, 1'020})});
      Segment want = out;
      want.seq = 97'000;
      want.ack = 501'000;
      want.options = joined({stamps(41'001'234, 60'500'000), nops(2), sack_option({501'010, 501'020})});
      link.expect_passed(link.leave(link.client, out, sums), want, "local_out 1", sums);
      report.equal("last", link.client.last_tsval, 41'001'234u);
    }
  }
}

// What the stack says, as its remote end hears it, sent back as that one would: the stack finds its own numbers again.
void there_and_back(Rig& rig, Report& report) {
  for (const uint32_t advance : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xfffffff9u}) {
    report.where = "advance " + std::to_string(advance) + ": ";
    Link link(rig, report);
    unlink(link);
    link.client.adv_in = advance;
    link.client.adv_out = advance * 3;
    const Segment out = link.from_stack_of(link.client);
    Segment sent = from_local_stack(out, link.client);
    link.expect_passed(link.leave(link.client, out), sent, "local_out 1");
    Segment back = link.from_client();
    back.seq = sent.ack;
    back.ack = sent.seq;
    Segment want = back;
    want.seq = out.ack;
    want.ack = out.seq;
    link.expect_passed(link.arrive(link.client, back), want, "local_in 1");
  }
}

void farewell(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    for (const int flags : {int{kFin}, int{kRst}, kFin | kAck, kRst | kAck, kFin | kPsh | kAck}) {
      report.where = shape.name() + ", flags " + std::to_string(flags) + ": ";
      Link link(rig, report, shape);
      Segment out = link.from_stack_of(link.client);
      out.flags = static_cast<uint8_t>(flags);
      out.payload = Bytes((flags & kPsh) != 0 ? 5 : 0, 'x');
      link.expect_dropped(link.leave(link.client, out), "swallowed 1");
      report.equal("ends", link.client.ends | link.backend.ends, 0u);
      // Not linked any more, they are what the remote end has to get.
      unlink(link);
      link.expect_passed(link.leave(link.client, out), from_local_stack(out, link.client), "local_out 1");
    }
  }
}

// The two ends have gone on; the stack has not noticed.
void go_on(Link& link) {
  link.client.seq_next += 5'000;
  link.backend.seq_next += 9'000;
  link.client.ack_seen = link.backend.seq_next + link.backend.delta_seq;
  link.backend.ack_seen = link.client.seq_next + link.client.delta_seq;
  link.backend.window = 70'000;
}

void outdated_acknowledgement(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    report.where = shape.name() + ": ";
    Link link(rig, report, shape);
    go_on(link);
    Segment out = link.from_stack_of(link.client);
    out.options = stamps(41'000'000, 60'500'000);
    Segment want = out;
    want.seq = 97'000 + 9'000;
    want.ack = 501'000 + 5'000;
    want.window = 70'000 / 512;
    want.options = stamps(41'001'234, 60'500'000);
    link.expect_passed(link.leave(link.client, out), want, "stack_acks 1");
  }
}

void outdated_data(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    report.where = shape.name() + ": ";
    Link link(rig, report, shape);
    go_on(link);
    Segment out = link.from_stack_of(link.client);
    out.seq -= 10;
    out.payload = Bytes(10, 'x');
    Segment want = out;
    want.seq = 97'000 - 10;
    want.ack = 501'000 + 5'000;
    want.window = 70'000 / 512;
    link.expect_passed(link.leave(link.client, out), want, "stack_data 1");
    // What the stack has acknowledged for itself stays.
    link.backend.ack_seen -= 6'000;
    want.ack = 501'000;
    link.expect_passed(link.leave(link.client, out), want, "stack_data 1");
  }
}

void old_data(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    for (const uint32_t length : {1u, 18u}) {
      report.where = shape.name() + ", " + std::to_string(length) + " bytes: ";
      Link link(rig, report, shape);
      go_on(link);
      Segment in = link.from_client();
      in.seq = link.client.link_rcv - 18;
      in.payload = Bytes(length, 'x');
      in.options = stamps(61'000'000, 60'500'000);
      const uint32_t noted = link.client.seq_next;
      link.expect_passed(link.arrive(link.client, in), to_stack(in, link.client), "old_data 1");
      report.equal("seq_next", link.client.seq_next, noted);
      report.equal("bytes", link.client.bytes, __u64{0});
    }
  }
}

void old_and_new_data(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    report.where = shape.name() + ": ";
    Link link(rig, report, shape);
    Segment in = link.from_client();
    in.seq = link.client.link_rcv - 18;
    in.payload = Bytes(19, 'x');
    in.flags = kAck | kPsh | kFin;
    Segment want = in;
    // Before what the stack expects, so that it answers.
    want.seq = 999;
    want.ack = 7'000;
    want.flags = kAck;
    want.payload.clear();
    link.expect_passed(link.arrive(link.client, in), want, "split_acks 1, old_data_cut 1");
    report.equal("seq_next", link.client.seq_next, 501'000u);
    report.equal("ends", link.client.ends, 0u);
  }
}

void while_resuming(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    report.where = shape.name() + ": ";
    Link link(rig, report, shape);
    link.client.phase = link.backend.phase = LS_RESUMING;
    Segment in = link.from_client();
    in.payload = Bytes(3, 'x');
    link.expect_dropped(link.arrive(link.client, in), "resuming 1");
    link.expect_dropped(link.leave(link.client, link.from_stack_of(link.client)), "resuming 1");
    report.equal("seq_next", link.client.seq_next, 501'000u);
    report.equal("packets", link.client.packets, __u32{0});
  }
}

void without_peer(Rig& rig, Report& report) {
  Link link(rig, report);
  link.client.peer = 0xffffffff;
  link.expect_dropped(link.arrive(link.client, link.from_client()), "bad_peer 1");
  link.expect_dropped(link.leave(link.client, link.from_stack_of(link.client)), "bad_peer 1");
}

}  // namespace

std::vector<Case> stack_cases() {
  return {
      {"stack", "gets what arrives in its own numbers", local_in},
      {"stack", "is heard in the numbers of the remote end", local_out},
      {"stack", "finds its own numbers again in an answer", there_and_back},
      {"stack", "says no farewell into a link", farewell},
      {"stack", "acknowledges what the ends have acknowledged", outdated_acknowledgement},
      {"stack", "sends data with the acknowledgement of the ends", outdated_data},
      {"stack", "gets what was received before the link", old_data},
      {"stack", "gets nothing new together with something old", old_and_new_data},
      {"stack", "neither hears nor speaks while the link is resumed", while_resuming},
      {"stack", "is not mixed up with a link that has one end", without_peer},
  };
}

}  // namespace longsplice::programs
