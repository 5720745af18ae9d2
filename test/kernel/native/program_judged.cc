#include "program_judged.h"

#include <algorithm>
#include <cstring>

#include "../../../native/engine/packet/verdict_hash.h"

namespace longsplice::programs {

namespace {

constexpr size_t kMostLines = 63, kLongestName = 39;
const std::string kAlphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const std::string kInPath = kAlphanumeric + "-._~!$&'()*+,/:;=@";
const std::string kInQuery = kInPath + "%?";
const std::string kInName = kAlphanumeric + "-";

bool consists_of(const std::string& text, const std::string& characters) {
  return text.find_first_not_of(characters) == std::string::npos;
}

std::string lowercase(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  return text;
}

bool is_plain_line(const std::string& line) {
  const size_t method = line.find(' ');
  if (method == line.npos || (line.substr(0, method) != "GET" && line.substr(0, method) != "HEAD"))
    return false;
  const std::string rest = line.substr(method + 1);
  const std::string version = " HTTP/1.1";
  if (!rest.ends_with(version)) return false;
  const std::string target = rest.substr(0, rest.size() - version.size());
  if (!target.starts_with('/') || target.size() > LS_TARGET_MAX) return false;
  const size_t query = std::min(target.find('?'), target.size());
  const std::string path = target.substr(0, query);
  return path.find("/.") == path.npos && consists_of(path, kInPath) &&
         consists_of(target.substr(query), kInQuery);
}

}  // namespace

VerdictTable::Destination to_route(uint32_t route, uint32_t pool, bool placed) {
  return {route, pool, placed};
}

VerdictTable plain_table() {
  VerdictTable table;
  table.paths = {{0, "", {to_route(kRoute), to_route(kRoute)}}};
  table.depths = {1};
  table.returning_fields = {"content-length", "transfer-encoding", "upgrade", "expect", "x-secret"};
  table.head_bytes = 16 * 1024;
  table.fields = 100;
  return table;
}

std::string head_of(const std::string& line, const std::string& fields) {
  return line + "\r\nhost: " + kHost + "\r\n" + fields + "\r\n";
}

bool is_plain(const std::string& head, const VerdictTable& table) {
  if (head.size() < 16 || head.size() > std::min<size_t>(table.head_bytes, LS_HEAD_MAX)) return false;
  if (head.find("\r\n\r\n") != head.size() - 4) return false;
  size_t at = head.find("\r\n");
  if (!is_plain_line(head.substr(0, at))) return false;
  size_t fields = 0, hosts = 0;
  for (at += 2; at + 2 < head.size(); fields++) {
    const size_t end = head.find("\r\n", at);
    const std::string line = head.substr(at, end - at);
    at = end + 2;
    const size_t colon = line.find(": ");
    if (colon == line.npos || colon == 0 || colon > kLongestName) return false;
    const std::string name = lowercase(line.substr(0, colon)), value = line.substr(colon + 2);
    if (!consists_of(name, kInName)) return false;
    if (std::ranges::any_of(value, [](char c) { return c < ' ' || c > '~'; })) return false;
    if (name.starts_with("x-forwar")) return false;
    if (name == "connection" && lowercase(value) != "keep-alive") return false;
    if (name == "host" && (value != kHost || ++hosts > 1)) return false;
    if (std::ranges::find(table.returning_fields, name) != table.returning_fields.end()) return false;
  }
  return hosts == 1 && fields <= kMostLines && fields <= table.fields;
}

Judged::Judged(Rig& rig, Report& report, const Shape& shape, const VerdictTable& table)
    : Link(rig, report, shape), judge(rig.judge()), rig_(rig), report_(report) {
  const uint32_t version = rig.publish(table);
  judge = {};
  judge.version = version;
  judge.pool = kPool;
  judge.backend = kBackend;
  judge.depths = table.depths[0];
  judge.host_hash = packet::hash_host(rig.seed(), kHost);
  memcpy(judge.host, kHost, strlen(kHost));
  judge.host_length = static_cast<uint32_t>(strlen(kHost));
  judge.request_begin = judge.request_end = client.link_rcv;
  judge.response_begin = judge.response_end = backend.link_rcv;
  for (ls_record* record : {&client, &backend}) {
    record->flags |= LS_JUDGED;
    record->judge = 0;
    record->phase = kLinkNumber << 2 | LS_LINKED;
  }
}

Segment Judged::request(const std::string& text) const {
  Segment segment = from_client();
  segment.ack = backend.seq_next + backend.delta_seq;
  segment.payload = bytes_of(text);
  if (!text.empty()) segment.flags |= kPsh;
  return segment;
}

Segment Judged::response(const std::string& text) const {
  Segment segment = from_backend();
  segment.ack = client.seq_next + client.delta_seq;
  segment.payload = bytes_of(text);
  if (!text.empty()) segment.flags |= kPsh;
  return segment;
}

void Judged::expect_passes(const Segment& in) {
  expect_spliced(client, in, spliced(in, client, backend), Sums::none, "spliced 1, judged 1");
  report_.equal("state", judge.state, uint32_t{LS_WAITING});
}

void Judged::expect_returns(const Segment& in, const std::string& why) {
  const ls_record& from = in.source_port == request("").source_port ? client : backend;
  const std::string text(in.payload.begin(), in.payload.end());
  const bool whole = (text.starts_with("GET ") || text.starts_with("HEAD")) && text.ends_with("\r\n\r\n");
  const bool readable = whole && text.size() >= 16 && text.size() <= LS_HEAD_MAX;
  const bool handed = &from == &client && readable && judge.early == 0 && (in.flags & (kFin | kUrg)) == 0;
  const Run run = arrive(from, in);
  if (handed) {
    expect_taken(run, "resumed 1, handed 1, " + why);
    expect_handed(in);
  } else {
    expect_passed(run, to_stack(in, from), "local_in 1, resumed 1, " + why);
  }
  report_.equal("phase of the client", client.phase & LS_STATE, uint32_t{LS_LOCAL});
  report_.equal("phase of the backend", backend.phase & LS_STATE, uint32_t{LS_LOCAL});
}

void Judged::expect_handed(const Segment& in) {
  report_.equal("handed", Bytes(judge.head, judge.head + judge.handed) == in.payload, true);
  report_.equal("received", client.local_rcv + client.adv_in, end_of(in));
  report_.equal("given to the stack", client.given, in.seq);
  expect_event(rig_, report_, LS_EVENT_HANDED);
}

void Judged::expect_acknowledges(const Segment& in, uint32_t seq, const std::string& counts) {
  Segment ack = in;
  ack.payload.clear();
  ack.flags = kAck;
  ack.seq = seq;
  const Run run = arrive(client, in);
  report_.equal("verdict", run.verdict, kRedirect);
  report_.frame("acknowledgement", run.packet, frame_of(spliced(ack, client, backend)));
  report_.equal("counts", rig_.counted(), counts);
  report_.equal("phase", client.phase & LS_STATE, uint32_t{LS_LINKED});
}

void Judged::expect_answers(const Segment& in) { expect_spliced(backend, in, spliced(in, backend, client)); }

void Judged::acknowledge() { expect_answers(acknowledgement_of_backend()); }

void on_both_families(Report& report, const std::function<void(const Shape&)>& run) {
  for (const bool v6 : {false, true}) {
    const Shape shape{v6, false, false};
    report.where = shape.name() + ": ";
    run(shape);
  }
  report.where = "";
}

Segment with(Segment segment, uint8_t flags) {
  segment.flags |= flags;
  return segment;
}

Segment part_of(const Segment& whole, size_t from, size_t length) {
  Segment part = whole;
  part.seq += static_cast<uint32_t>(from);
  part.payload = Bytes(whole.payload.begin() + static_cast<long>(from),
                       whole.payload.begin() + static_cast<long>(from + length));
  return part;
}

void expect_repeats(Judged& link, const Segment& in, Segment want, Sums sums) {
  want.flags &= static_cast<uint8_t>(~(kFin | kUrg));
  link.expect_spliced(link.client, in, spliced(want, link.client, link.backend), sums,
                      "spliced 1, repeated 1");
}

void expect_verdict(Judged& link, const std::string& head, bool passes) {
  const Segment in = link.request(head);
  if (passes) {
    link.expect_passes(in);
  } else {
    link.expect_returns(in);
  }
}

void expect_verdict(Rig& rig, Report& report, const std::string& head, bool passes, const VerdictTable& table,
                    const Shape& shape) {
  Judged link(rig, report, shape, table);
  expect_verdict(link, head, passes);
}

void expect_event(Rig& rig, Report& report, uint32_t kind) {
  const std::vector<ls_event> events = rig.events();
  report.equal("events", events.size(), size_t{1});
  if (!events.empty()) report.equal("kind", events[0].kind, kind);
}

void expect_told(Rig& rig, Report& report, uint32_t status, uint32_t body, const std::string& text,
                 uint32_t route) {
  const std::vector<Passed> all = rig.passed();
  report.equal("requests told", all.size(), size_t{1});
  if (all.empty()) return;
  const auto& [passed, told] = all[0];
  report.equal("kind", passed.kind, uint32_t{LS_EVENT_PASSED});
  report.equal("link", passed.link, kLinkNumber);
  report.equal("status", uint32_t{passed.status}, status);
  report.equal("body", passed.body, body);
  report.equal("route", passed.route, route);
  report.equal("text", told, text);
  report.equal("in order", passed.started_ns <= passed.responded_ns && passed.responded_ns <= passed.ended_ns,
               true);
}

}  // namespace longsplice::programs
