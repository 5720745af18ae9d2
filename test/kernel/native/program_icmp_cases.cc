// ICMP errors about segments that went from one end of a link to the other.
#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "program_cases.h"

namespace longsplice::programs {

namespace {

constexpr size_t kTcpHeader = 20;

Address address(const __be32 words[4]) {
  Address address;
  memcpy(address.data(), words, 16);
  return address;
}

struct Error {
  uint8_t type = 3, code = 4;
  uint32_t rest = 1280;
  Address from{};
  Address to{};
  Segment quoted;
  size_t quoted_bytes = SIZE_MAX;  // of TCP
  Bytes ip_options;                // of the error itself
  size_t padding = 0;
};

size_t ip_header_of(const Segment& segment) { return segment.v6 ? 40 : 20 + segment.ip_options.size(); }

// Of ICMP, which for IPv6 covers a pseudo header.
uint16_t icmp_sum(const Bytes& packet, const Segment& carrier) {
  uint32_t start = 0;
  if (carrier.v6) {
    Bytes addresses(carrier.source.begin(), carrier.source.end());
    addresses.insert(addresses.end(), carrier.target.begin(), carrier.target.end());
    start = sum_of(addresses.data(), 32, 58 + static_cast<uint32_t>(packet.size()));
  }
  return sum_of(packet.data(), packet.size(), start);
}

// The IP header of a TCP segment is that of any other packet, but for the protocol.
Bytes frame_of(const Error& error) {
  const Bytes quoted = frame_of(error.quoted);
  Bytes icmp = {error.type, error.code, 0, 0};
  put32(icmp, error.rest);
  const size_t whole = quoted.size() - kEthernet;
  const size_t bytes = std::min(whole, ip_header_of(error.quoted) + std::min(error.quoted_bytes, whole));
  icmp.insert(icmp.end(), quoted.begin() + kEthernet, quoted.begin() + static_cast<long>(kEthernet + bytes));

  Segment carrier;
  carrier.v6 = error.quoted.v6;
  carrier.source = error.from;
  carrier.target = error.to;
  carrier.ip_options = error.ip_options;
  const auto sum = static_cast<uint16_t>(~icmp_sum(icmp, carrier));
  icmp[2] = static_cast<uint8_t>(sum >> 8);
  icmp[3] = static_cast<uint8_t>(sum);
  carrier.payload.resize(icmp.size() - kTcpHeader);
  Bytes frame = frame_of(carrier);
  const size_t ip = ip_header_of(carrier);
  std::copy(icmp.begin(), icmp.end(), frame.begin() + static_cast<long>(kEthernet + ip));
  if (carrier.v6) {
    frame[kEthernet + 6] = 58;
  } else {
    frame[kEthernet + 9] = 1;
    frame[kEthernet + 10] = frame[kEthernet + 11] = 0;
    const auto check = static_cast<uint16_t>(~sum_of(&frame[kEthernet], ip));
    frame[kEthernet + 10] = static_cast<uint8_t>(check >> 8);
    frame[kEthernet + 11] = static_cast<uint8_t>(check);
  }
  frame.resize(frame.size() + error.padding);
  return frame;
}

Address router(bool v6) { return address_of(v6 ? "2001:db8:9::9" : "203.0.113.9"); }

// A router behind `to` has no room for a segment that `to`'s socket seems to have sent.
Error about(const Segment& segment) {
  Error error;
  if (segment.v6) {
    error.type = 2;
    error.code = 0;
  }
  error.from = router(segment.v6);
  error.to = segment.source;
  error.quoted = segment;
  return error;
}

// The error as the end that really sent `sent` is to get it. Only what finds the connection is translated back.
Error translated(const Error& error, const Segment& sent, const ls_record& sender) {
  Error out = error;
  out.from = address(sender.key.local);
  out.to = address(sender.key.remote);
  out.quoted.source = sent.source;
  out.quoted.target = sent.target;
  out.quoted.source_port = sent.source_port;
  out.quoted.target_port = sent.target_port;
  out.quoted.seq = sent.seq;
  return out;
}

Program arriving(const ls_record& record) {
  return record.ifindex == kLoopback ? Program::loopback_egress : Program::outer_ingress;
}

struct Expected {
  int verdict;
  Bytes frame;
  std::string counts;
};

void expect(Rig& rig, Report& report, const Run& run, const Expected& expected) {
  report.equal("verdict", run.verdict, expected.verdict);
  report.frame("packet", run.packet, expected.frame);
  report.equal("counts", rig.counted(), expected.counts);
}

void expect_ignored(Rig& rig, Report& report, const ls_record& at, const Bytes& frame) {
  expect(rig, report, rig.run(arriving(at), frame), {kNext, frame, ""});
}

// A full segment of `sender`'s remote end, in the middle of the link.
Segment large_segment(const Link& link, const ls_record& sender) {
  Segment sent = &sender == &link.client ? link.from_client() : link.from_backend();
  sent.seq += 4'000'000'000;
  sent.payload = Bytes(1'400, 'x');
  sent.options = joined({nops(2), timestamps_option(61'000'000, 60'500'000)});
  return sent;
}

// One error for each end of a link, with whatever `change` makes of it.
template <typename Change>
void expect_translated(Rig& rig, Report& report, const Shape& shape, Sums sums, const Change& change) {
  Link link(rig, report, shape);
  for (const bool to_client : {false, true}) {
    const ls_record& sender = to_client ? link.client : link.backend;
    const ls_record& other = to_client ? link.backend : link.client;
    const Segment sent = large_segment(link, sender);
    Error error = about(spliced(sent, sender, other));
    change(error);
    const bool on_lo = shape.client_on_lo && shape.backend_on_lo;
    const Run run = rig.run(arriving(other), frame_of(error), sums);
    expect(rig, report, run,
           {on_lo ? kNext : kRedirect, frame_of(translated(error, sent, sender)), "icmp 1"});
    if (run.tag && !on_lo) {
      report.equal("tag", static_cast<int>(*run.tag), static_cast<int>(Tag::translated));
      report.equal("interface", run.redirected_to.value_or(0), sender.ifindex);
    }
  }
}

void too_big(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    for (const Sums sums : {Sums::none, Sums::complete}) {
      if (!rig.takes(sums)) continue;
      report.where = shape.name() + ": ";
      expect_translated(rig, report, shape, sums, [](Error&) {});
    }
  }
}

void short_quotes(Rig& rig, Report& report) {
  for (const bool v6 : {false, true}) {
    for (size_t bytes = 8; bytes <= 40; bytes++) {
      report.where = (v6 ? "IPv6, " : "IPv4, ") + std::to_string(bytes) + " bytes of TCP: ";
      // Half a checksum cannot be made right.
      if (bytes == 17) continue;
      // Behind the packet comes what Ethernet fills up small frames with, which is not of the quote.
      expect_translated(rig, report, {v6, false, false}, Sums::none, [&](Error& error) {
        error.quoted_bytes = bytes;
        error.padding = 20;
      });
    }
  }
}

void unreachable(Rig& rig, Report& report) {
  for (const bool v6 : {false, true}) {
    for (uint8_t code = 0; code < 16; code++) {
      report.where = (v6 ? "IPv6, code " : "IPv4, code ") + std::to_string(code) + ": ";
      expect_translated(rig, report, {v6, false, false}, Sums::none, [&](Error& error) {
        error.type = v6 ? 1 : 3;
        error.code = code;
        error.rest = 0;
      });
    }
  }
}

void ip_options(Rig& rig, Report& report) {
  for (const size_t size : {4u, 20u, 40u}) {
    report.where = std::to_string(size) + " bytes of options: ";
    expect_translated(rig, report, kPlain, Sums::none, [&](Error& error) { error.ip_options = nops(size); });
    expect_translated(rig, report, kPlain, Sums::none,
                      [&](Error& error) { error.quoted.ip_options = nops(size); });
  }
}

// Damaged on its way, it has to stay recognisable as such.
void damaged(Rig& rig, Report& report) {
  for (const bool v6 : {false, true}) {
    Link link(rig, report, {v6, false, false});
    const Segment sent = large_segment(link, link.backend);
    const Error error = about(spliced(sent, link.backend, link.client));
    Bytes frame = frame_of(error), want = frame_of(translated(error, sent, link.backend));
    for (Bytes* each : {&frame, &want}) each->back() ^= 1;
    expect(rig, report, rig.run(Program::outer_ingress, frame), {kRedirect, want, "icmp 1"});
  }
}

void own_segments(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    for (const size_t bytes : {size_t{8}, SIZE_MAX}) {
      report.where = shape.name() + ": ";
      Link link(rig, report, shape);
      // The head, which the stack sent itself and nobody has acknowledged.
      link.backend.local_acked -= 2'000;
      Segment own = link.from_stack_of(link.backend);
      own.seq -= 2'000;
      own.payload = Bytes(1'400, 'x');
      Error error = about(from_linked_stack(own, link.backend, link.client));
      error.quoted_bytes = bytes;
      Error want = error;
      want.quoted.seq = own.seq;
      expect(rig, report, rig.run(arriving(link.backend), frame_of(error)),
             {kNext, frame_of(want), "local_in 1"});
      // A link that carried 2 GB has numbers that look like older ones; but then the head has arrived.
      link.backend.local_acked = link.backend.local_snd;
      Segment sent = link.from_client();
      sent.seq = error.quoted.seq - link.client.delta_seq;
      want = translated(error, sent, link.client);
      expect(rig, report, rig.run(arriving(link.backend), frame_of(error)),
             {shape.client_on_lo && shape.backend_on_lo ? kNext : kRedirect, frame_of(want), "icmp 1"});
    }
  }
}

void local_segments(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    report.where = shape.name() + ": ";
    Link link(rig, report, shape);
    link.client.phase = link.backend.phase = LS_LOCAL;
    const Segment own = link.from_stack_of(link.client);
    const Error error = about(from_local_stack(own, link.client));
    Error want = error;
    want.quoted.seq = own.seq;
    expect(rig, report, rig.run(arriving(link.client), frame_of(error)),
           {kNext, frame_of(want), "local_in 1"});
    // Numbers that were never moved need no correction.
    link.client.adv_out = 0;
    expect_ignored(rig, report, link.client, frame_of(about(own)));
  }
}

void not_linked(Rig& rig, Report& report) {
  Link link(rig, report);
  const Segment sent = large_segment(link, link.backend);
  const Bytes frame = frame_of(about(spliced(sent, link.backend, link.client)));
  link.client.phase = LS_RESUMING;
  expect_ignored(rig, report, link.client, frame);
  link.client.phase = LS_LINKED;
  link.client.peer = 0xffffffff;
  report.equal("verdict", rig.run(Program::outer_ingress, frame).verdict, kDrop);
  report.equal("counts", rig.counted(), std::string("bad_peer 1"));
}

void other_messages(Rig& rig, Report& report) {
  for (const bool v6 : {false, true}) {
    Link link(rig, report, {v6, false, false});
    const Segment sent = large_segment(link, link.backend);
    const Error ours = about(spliced(sent, link.backend, link.client));
    for (int type = 0; type < 256; type++) {
      if (v6 ? type == 1 || type == 2 : type == 3) continue;
      report.where = (v6 ? "IPv6, type " : "IPv4, type ") + std::to_string(type) + ": ";
      Error other = ours;
      other.type = static_cast<uint8_t>(type);
      expect_ignored(rig, report, link.client, frame_of(other));
    }
    report.where = v6 ? "IPv6: " : "IPv4: ";
    Error other = ours;
    other.quoted.target_port++;
    expect_ignored(rig, report, link.client, frame_of(other));
    other = ours;
    other.quoted.source[15] ^= 1;
    expect_ignored(rig, report, link.client, frame_of(other));
    // What the remote end sent is no packet of ours.
    expect_ignored(rig, report, link.client, frame_of(about(large_segment(link, link.client))));
    // Somebody's who forwards it.
    const Bytes frame = frame_of(ours);
    expect(rig, report, rig.run(Program::outer_egress, frame), {kNext, frame, ""});
  }
}

void spoilt_headers(Rig& rig, Report& report) {
  for (const bool v6 : {false, true}) {
    Link link(rig, report, {v6, false, false});
    Error error = about(spliced(large_segment(link, link.backend), link.backend, link.client));
    error.quoted_bytes = 20;
    const Bytes whole = frame_of(error);
    const size_t quote = kEthernet + (v6 ? 48 : 28);
    // Protocol, version, length and fragment of the quoted header; fragments of the error.
    const std::vector<std::pair<size_t, uint8_t>> kChanges =
        v6 ? std::vector<std::pair<size_t, uint8_t>>{{quote + 6, 17}, {quote, 0x40}, {kEthernet + 6, 17}}
           : std::vector<std::pair<size_t, uint8_t>>{{quote + 9, 17}, {quote, 0x65},         {quote, 0x44},
                                                     {quote + 7, 1},  {kEthernet + 6, 0x20}, {quote, 0x4f}};
    for (const auto& [at, value] : kChanges) {
      report.where = "byte " + std::to_string(at) + " is " + std::to_string(value) + ": ";
      Bytes changed = whole;
      changed.at(at) = value;
      expect_ignored(rig, report, link.client, changed);
    }
    // Too short for a number, by what there is or by what the header tells.
    for (size_t length = kEthernet + 40; length < quote + (v6 ? 40 : 20) + 8; length++) {
      report.where = std::to_string(length) + " bytes: ";
      const Bytes cut(whole.begin(), whole.begin() + static_cast<long>(length));
      expect_ignored(rig, report, link.client, cut);
      Bytes told = whole;
      told[kEthernet + (v6 ? 5 : 3)] = static_cast<uint8_t>(length - kEthernet - (v6 ? 40 : 0));
      expect_ignored(rig, report, link.client, told);
    }
  }
}

}  // namespace

std::vector<Case> icmp_cases() {
  return {
      {"icmp", "says what is too big to the end that sent it", too_big},
      {"icmp", "quotes as much of a segment as it likes", short_quotes},
      {"icmp", "says what cannot be reached", unreachable},
      {"icmp", "has options in its headers", ip_options},
      {"icmp", "is damaged, and stays so", damaged},
      {"icmp", "about a segment of the parked socket's stack goes there", own_segments},
      {"icmp", "about a segment of a stack that speaks for itself is corrected", local_segments},
      {"icmp", "passes when there is no link", not_linked},
      {"icmp", "that says something else passes", other_messages},
      {"icmp", "with headers that cannot be passes", spoilt_headers},
  };
}

}  // namespace longsplice::programs
