#include <arpa/inet.h>

#include <cstring>

#include "program_cases.h"

namespace longsplice::programs {

namespace {

constexpr uint32_t kClientRecord = 3, kBackendRecord = 8;

struct Addresses {
  const char* client;
  const char* listener;
  const char* proxy;
  const char* backend;
};
constexpr Addresses kV4 = {"192.0.2.1", "192.0.2.254", "198.51.100.254", "198.51.100.1"};
constexpr Addresses kV6 = {"2001:db8:1::1", "2001:db8:1::ffff", "2001:db8:2::ffff", "2001:db8:2::1"};

Address address(const __be32 words[4]) {
  Address address;
  memcpy(address.data(), words, 16);
  return address;
}

}  // namespace

std::string Shape::name() const {
  return std::string(v6 ? "IPv6" : "IPv4") + (client_on_lo ? ", client on lo" : ", client outside") +
         (backend_on_lo ? ", backend on lo" : ", backend outside");
}

std::vector<Shape> all_shapes() {
  std::vector<Shape> shapes;
  for (const bool v6 : {false, true}) {
    for (const bool client : {false, true}) {
      for (const bool backend : {false, true}) shapes.push_back({v6, client, backend});
    }
  }
  return shapes;
}

Link::Link(Rig& rig, Report& report, const Shape& shape)
    : client(rig.record(kClientRecord)),
      backend(rig.record(kBackendRecord)),
      rig_(rig),
      report_(report),
      shape_(shape) {
  const Addresses& at = shape.v6 ? kV6 : kV4;
  client = {};
  client.key = key_of(address_of(at.listener), 8080, address_of(at.client), 40001);
  client.peer = kBackendRecord;
  client.flags = LS_TIMESTAMPS | LS_CLIENT;
  client.ifindex = shape.client_on_lo ? kLoopback : rig.outer();
  client.family = shape.v6 ? 10 : 2;
  client.local_rcv = 1'000;
  client.adv_in = 500'000;
  client.local_snd = 7'000;
  client.adv_out = 90'000;
  client.remote_wscale = 7;
  client.local_wscale = 9;
  client.ts_delta = 111'111;
  client.ts_advance = 1'234;
  client.last_tsval = 40'000'000;

  backend = client;
  backend.key = key_of(address_of(at.proxy), 50001, address_of(at.backend), 9001);
  backend.peer = kClientRecord;
  backend.flags = LS_TIMESTAMPS;
  backend.ifindex = shape.backend_on_lo ? kLoopback : rig.outer();
  backend.local_rcv = 20'000;
  backend.adv_in = 3'000'000'000;
  backend.local_snd = 33'000;
  backend.adv_out = 2'000'000'000;
  backend.remote_wscale = 10;
  backend.local_wscale = 5;
  backend.ts_delta = 77'777;
  backend.ts_advance = 4'321;
  backend.last_tsval = 60'000'000;
  for (ls_record* record : {&client, &backend}) {
    record->phase = LS_LINKED;
    record->ts_ready = 1;
  }
  relate();
  publish();
}

void Link::relate() {
  for (ls_record* record : {&client, &backend}) {
    record->link_rcv = record->seq_next = record->given = record->local_rcv + record->adv_in;
    // More than any window of the cases that are about other things.
    record->budget_end = record->seq_next;
    record->edge = record->local_rcv + (1 << 30);
    record->ack_seen = record->local_snd + record->adv_out;
    record->local_acked = record->local_sent = record->local_snd;
  }
  client.delta_seq = backend.ack_seen - client.link_rcv;
  backend.delta_seq = client.ack_seen - backend.link_rcv;
  client.delta_ack = -backend.delta_seq;
  backend.delta_ack = -client.delta_seq;
}

void Link::publish() {
  rig_.clear();
  rig_.publish(client.key, kClientRecord);
  rig_.publish(backend.key, kBackendRecord);
}

Segment Link::from_remote(const ls_record& record) const {
  Segment segment;
  segment.v6 = shape_.v6;
  segment.source = address(record.key.remote);
  segment.target = address(record.key.local);
  segment.source_port = ntohs(record.key.remote_port);
  segment.target_port = ntohs(record.key.local_port);
  segment.seq = record.seq_next;
  segment.ack = record.ack_seen;
  segment.window = 500;
  return segment;
}

Segment Link::from_stack_of(const ls_record& record) const {
  Segment segment = from_remote(record);
  std::swap(segment.source, segment.target);
  std::swap(segment.source_port, segment.target_port);
  segment.seq = record.local_snd;
  segment.ack = record.local_rcv;
  return segment;
}

Program Link::arriving(const ls_record& record) const {
  return record.ifindex == kLoopback ? Program::loopback_egress : Program::outer_ingress;
}

Run Link::arrive(const ls_record& record, const Segment& segment, Sums sums, Tag tag) {
  return rig_.run(arriving(record), frame_of(segment, sums), sums, tag);
}

Run Link::leave(const ls_record& record, const Segment& segment, Sums sums) {
  const bool on_lo = record.ifindex == kLoopback;
  return rig_.run(on_lo ? Program::loopback_egress : Program::outer_egress, frame_of(segment, sums), sums);
}

void Link::expect_spliced(const ls_record& from, const Segment& in, const Segment& want, Sums sums,
                          const std::string& counts) {
  const ls_record& to = &from == &client ? backend : client;
  const Run run = arrive(from, in, sums);
  const bool stays_on_lo = from.ifindex == kLoopback && to.ifindex == kLoopback;
  report_.equal("verdict", run.verdict, stays_on_lo ? kNext : kRedirect);
  report_.frame("packet", run.packet, frame_of(want, sums));
  report_.equal("sums", wrong_sums(run.packet, sums), std::string());
  report_.equal("counts", rig_.counted(), counts);
  if (run.tag && !stays_on_lo) {
    report_.equal("tag", static_cast<int>(*run.tag), static_cast<int>(Tag::translated));
    report_.equal("interface", run.redirected_to.value_or(0), to.ifindex);
  }
}

void Link::expect_passed(const Run& run, const Segment& want, const std::string& counts, Sums sums) {
  report_.equal("verdict", run.verdict, kNext);
  report_.frame("packet", run.packet, frame_of(want, sums));
  report_.equal("sums", wrong_sums(run.packet, sums), std::string());
  report_.equal("counts", rig_.counted(), counts);
  if (run.tag) report_.equal("tag", static_cast<int>(*run.tag), static_cast<int>(Tag::none));
}

void Link::expect_untouched(Program program, const Bytes& frame, const std::string& counts) {
  const Run run = rig_.run(program, frame);
  report_.equal("verdict", run.verdict, kNext);
  report_.frame("packet", run.packet, frame);
  report_.equal("counts", rig_.counted(), counts);
}

void Link::expect_dropped(const Run& run, const std::string& counts) {
  report_.equal("verdict", run.verdict, kDrop);
  report_.equal("counts", rig_.counted(), counts);
}

void Link::expect_taken(const Run& run, const std::string& counts) {
  report_.equal("verdict", run.verdict, kRedirect);
  report_.equal("counts", rig_.counted(), counts);
  if (run.tag) report_.equal("interface", run.redirected_to.value_or(1), 0u);
}

Bytes timestamps_option(uint32_t tsval, uint32_t tsecr) {
  Bytes option = {8, 10};
  put32(option, tsval);
  put32(option, tsecr);
  return option;
}

Bytes sack_option(const std::vector<uint32_t>& edges) {
  Bytes option = {5, static_cast<uint8_t>(2 + 4 * edges.size())};
  for (const uint32_t edge : edges) put32(option, edge);
  return option;
}

Bytes joined(const std::vector<Bytes>& parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Bytes nops(size_t count) { return Bytes(count, 1); }

}  // namespace longsplice::programs
