#include <arpa/inet.h>

#include "program_cases.h"

namespace longsplice::programs {

namespace {

void on_every_shape(Rig& rig, Report& report, void (*check)(Rig&, Report&, const Shape&)) {
  for (const Shape& shape : all_shapes()) {
    report.where = shape.name() + ": ";
    check(rig, report, shape);
  }
}

void moves_every_number(Rig& rig, Report& report, const Shape& shape) {
  Link link(rig, report, shape);
  Segment in = link.from_client();
  in.payload = bytes_of("GET / HTTP/1.1\r\n\r\n");
  in.flags = kAck | kPsh;
  in.options = joined({nops(2), timestamps_option(61'000'000, 60'500'000)});
  Segment want = in;
  std::swap(want.source, want.target);
  want.source = link.from_stack_of(link.backend).source;
  want.target = link.from_stack_of(link.backend).target;
  want.source_port = 50001;
  want.target_port = 9001;
  want.seq = 2'000'033'000;
  want.ack = 3'000'020'000;
  want.window = 500 * 128 / 32;
  // A clock of the parked socket and an echo of the one at the other end.
  want.options = joined({nops(2), timestamps_option(61'111'111, 60'422'223)});
  link.expect_spliced(link.client, in, want);
  report.equal("seq_next", link.client.seq_next, 501'018u);
  report.equal("ack_seen", link.client.ack_seen, 97'000u);
  report.equal("window", link.client.window, 64'000u);
  report.equal("bytes", link.client.bytes, __u64{18});
  report.equal("packets", link.client.packets, __u32{1});
  report.equal("last_tsval of the backend", link.backend.last_tsval, 61'111'111u);
  report.equal("untouched state", link.client.ends, 0u);

  Segment answer = link.from_backend();
  answer.ack = want.seq + 18;
  answer.payload = bytes_of("HTTP/1.1 204 No Content\r\n\r\n");
  Segment back = link.from_stack_of(link.client);
  back.seq = 97'000;
  back.ack = 501'018;
  back.window = 500 * 1024 / 512;
  back.payload = answer.payload;
  link.expect_spliced(link.backend, answer, back);
  report.equal("seq_next of the backend", link.backend.seq_next, 3'000'020'027u);
  report.equal("ack_seen of the backend", link.backend.ack_seen, 2'000'033'018u);
}

void every_number(Rig& rig, Report& report) { on_every_shape(rig, report, moves_every_number); }

void keeps_the_rest(Rig& rig, Report& report, const Shape& shape) {
  Link link(rig, report, shape);
  for (int bit = 0; bit < 8; bit++) {
    // SYN and the ends of connections have cases of their own.
    if (1 << bit == kSyn || 1 << bit == kFin || 1 << bit == kRst) continue;
    Segment in = link.from_client();
    in.flags = static_cast<uint8_t>(kAck | 1 << bit);
    in.reserved = static_cast<uint8_t>(bit & 1);
    in.urgent = static_cast<uint16_t>(0x1234 << (bit & 1));
    link.expect_spliced(link.client, in, spliced(in, link.client, link.backend));
  }
}

void the_rest(Rig& rig, Report& report) { on_every_shape(rig, report, keeps_the_rest); }

// Numbers that are about to begin anew, on each of the four sides, and ports at both of their ends.
void wraps(Rig& rig, Report& report) {
  for (const uint32_t near : {0u, 1u, 0xffffffffu, 0xfffffff0u, 0x7fffffffu, 0x80000000u}) {
    for (int which = 0; which < 4; which++) {
      report.where = "number " + std::to_string(which) + " at " + std::to_string(near) + ": ";
      Link link(rig, report);
      ls_record& record = which < 2 ? link.client : link.backend;
      (which % 2 == 0 ? record.adv_in : record.adv_out) =
          near - (which % 2 == 0 ? record.local_rcv : record.local_snd);
      link.relate();
      for (int i = 0; i < 3; i++) {
        Segment in = link.from_client();
        in.payload = Bytes(7, 'x');
        link.expect_spliced(link.client, in, spliced(in, link.client, link.backend));
        Segment back = link.from_backend();
        back.payload = Bytes(9, 'y');
        back.ack += 7;
        link.expect_spliced(link.backend, back, spliced(back, link.backend, link.client));
      }
      report.equal("seq_next", link.client.seq_next, link.client.link_rcv + 21);
      report.equal("ack_seen", link.backend.ack_seen, link.backend.local_snd + link.backend.adv_out + 21);
    }
  }
}

void ports(Rig& rig, Report& report) {
  for (const int port : {0, 1, 255, 256, 65535}) {
    report.where = "port " + std::to_string(port) + ": ";
    Link link(rig, report);
    link.client.key.remote_port = htons(static_cast<uint16_t>(port));
    link.backend.key.remote_port = htons(static_cast<uint16_t>(65535 - port));
    link.publish();
    const Segment in = link.from_client();
    link.expect_spliced(link.client, in, spliced(in, link.client, link.backend));
    const Segment back = link.from_backend();
    link.expect_spliced(link.backend, back, spliced(back, link.backend, link.client));
  }
}

void windows(Rig& rig, Report& report) {
  struct {
    uint16_t window;
    uint8_t from, to;
    uint16_t want;
    uint32_t bytes;
  } const kWindows[] = {
      {0, 7, 7, 0, 0},
      {1, 0, 0, 1, 1},
      {65535, 0, 0, 65535, 65535},
      {65535, 7, 7, 65535, 8388480},
      {501, 7, 9, 125, 64128},
      {1, 0, 7, 0, 1},
      {127, 0, 7, 0, 127},
      {128, 0, 7, 1, 128},
      {1024, 7, 0, 65535, 131072},
      {512, 7, 0, 65535, 65536},
      {511, 7, 0, 65408, 65408},
      {65535, 14, 0, 65535, 1073725440},
      {65535, 14, 14, 65535, 1073725440},
      {4, 14, 13, 8, 65536},
  };
  for (const auto& row : kWindows) {
    report.where = std::to_string(row.window) + " << " + std::to_string(row.from) + " >> " +
                   std::to_string(row.to) + ": ";
    Link link(rig, report);
    link.client.remote_wscale = row.from;
    link.backend.local_wscale = row.to;
    Segment in = link.from_client();
    in.window = row.window;
    Segment want = spliced(in, link.client, link.backend);
    report.equal("of the model", want.window, row.want);
    link.expect_spliced(link.client, in, want);
    report.equal("noted", link.client.window, row.bytes);
  }
}

// The client's stack has taken bytes that its remote end must not be told are missing.
void acknowledges_what_the_stack_took(Rig& rig, Report& report, const Shape& shape) {
  Link link(rig, report, shape);
  for (const uint32_t behind : {1u, 18u, 100'000u}) {
    Segment in = link.from_backend();
    in.ack -= behind;
    Segment want = spliced(in, link.backend, link.client);
    report.equal("of the model", want.ack, link.client.link_rcv);
    link.expect_spliced(link.backend, in, want);
  }
  report.equal("ack_seen", link.backend.ack_seen, link.backend.local_snd + link.backend.adv_out);
}

void taken_by_the_stack(Rig& rig, Report& report) {
  on_every_shape(rig, report, acknowledges_what_the_stack_took);
}

void ip_options_and_padding(Rig& rig, Report& report) {
  for (size_t words = 0; words <= 10; words++) {
    for (const size_t padding : {0u, 1u, 6u, 46u}) {
      report.where = std::to_string(words) + " words, " + std::to_string(padding) + " bytes behind: ";
      Link link(rig, report);
      Segment in = link.from_client();
      in.ip_options = Bytes(words * 4, 1);
      in.padding = Bytes(padding, 0xee);
      in.payload = Bytes(words % 3, 'x');
      in.options = joined({nops(2), timestamps_option(50'000'000, 60'500'000)});
      link.expect_spliced(link.client, in, spliced(in, link.client, link.backend));
      report.equal("bytes", link.client.bytes, static_cast<__u64>(in.payload.size()));
    }
  }
}

void without_a_length(Rig& rig, Report& report) {
  Link link(rig, report);
  Segment in = link.from_client();
  in.no_length = true;
  in.payload = Bytes(1'500, 'x');
  link.expect_spliced(link.client, in, spliced(in, link.client, link.backend));
  report.equal("seq_next", link.client.seq_next, link.client.link_rcv + 1'500);
}

// Of a packet beyond 64 KB, although this one is not; RFC 2675.
Bytes jumbo_extension(size_t tcp_length) {
  Bytes extension = {6, 0, 0xc2, 4};
  put32(extension, static_cast<uint32_t>(8 + tcp_length));
  return extension;
}

void with_a_long_length(Rig& rig, Report& report) {
  for (const Sums sums : {Sums::none, Sums::complete, Sums::partial}) {
    if (!rig.takes(sums)) continue;
    Link link(rig, report, {true, false, false});
    Segment in = link.from_client();
    in.options = joined({nops(2), timestamps_option(61'000'000, 60'500'000)});
    in.payload = Bytes(1'501, 'x');
    in.extension = jumbo_extension(20 + 12 + 1'501);
    // It would take more than a cut to make an acknowledgement of it.
    link.client.local_acked--;
    const Segment want = spliced(in, link.client, link.backend);
    const Run run = link.arrive(link.client, in, sums);
    report.equal("verdict", run.verdict, kRedirect);
    report.frame("packet", run.packet, frame_of(want, sums));
    report.equal("sums", wrong_sums(run.packet, sums), std::string());
    report.equal("copies", run.copies.size(), size_t{0});
    report.equal("counts", rig.counted(), std::string("spliced 1"));
    report.equal("seq_next", link.client.seq_next, link.client.link_rcv + 1'501);
    report.equal("told of", link.client.local_acked, link.client.local_snd - 1);
  }
}

void every_kind_of_checksum(Rig& rig, Report& report) {
  for (const Sums sums : {Sums::none, Sums::complete, Sums::partial}) {
    if (!rig.takes(sums)) continue;
    for (const Shape& shape : all_shapes()) {
      report.where = "kind " + std::to_string(static_cast<int>(sums)) + ", " + shape.name() + ": ";
      Link link(rig, report, shape);
      for (const size_t length : {0u, 1u, 1'447u, 1'448u}) {
        Segment in = link.from_client();
        in.payload = Bytes(length, 0xa7);
        in.padding = Bytes(length == 1 ? 5 : 0, 0x11);
        in.options = joined({nops(1), timestamps_option(50'000'000, 60'500'000), nops(1)});
        link.expect_spliced(link.client, in, spliced(in, link.client, link.backend), sums);
      }
    }
  }
}

}  // namespace

std::vector<Case> translate_cases() {
  return {
      {"translate", "moves every number of both directions", every_number},
      {"translate", "leaves everything else as it is", the_rest},
      {"translate", "lets sequence numbers begin anew", wraps},
      {"translate", "knows every port", ports},
      {"translate", "scales windows", windows},
      {"translate", "never takes back what a stack has acknowledged", taken_by_the_stack},
      {"translate", "finds TCP behind IP options, and its end before padding", ip_options_and_padding},
      {"translate", "takes the packet's length where the header has none", without_a_length},
      {"translate", "takes the packet's length where an extension has it", with_a_long_length},
      {"translate", "keeps every kind of checksum right", every_kind_of_checksum},
  };
}

}  // namespace longsplice::programs
