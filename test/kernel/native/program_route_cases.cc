// Where heads of requests lead.
#include "../../../native/engine/packet/verdict_hash.h"
#include "program_judged.h"

namespace longsplice::programs {

namespace {

VerdictTable table_of(const std::vector<VerdictTable::Path>& paths) {
  VerdictTable table = plain_table();
  table.paths = paths;
  table.depths = {0};
  for (const VerdictTable::Path& path : paths) {
    if (path.host_class == 0) table.depths[0] |= uint64_t{1} << path.text.size();
  }
  return table;
}

VerdictTable::Path path_to(const std::string& text, uint32_t route) {
  return {0, text, {to_route(route), to_route(route)}};
}

std::string get(const std::string& target) { return head_of("GET " + target + " HTTP/1.1"); }

void expect_route(Rig& rig, Report& report, const VerdictTable& table, const std::string& target,
                  uint32_t route) {
  report.where = target + ": ";
  Judged link(rig, report, kPlain, table);
  const Segment in = link.request(get(target));
  if (route == VerdictTable::kReturns) return link.expect_returns(in);
  link.expect_passes(in);
  report.equal("route", link.judge.passed.route, route);
}

void longest_path(Rig& rig, Report& report) {
  const std::string longest = "/" + std::string(54, 'l') + "/";  // 56 bytes
  const std::string as_long = "/" + std::string(55, 'm');
  const VerdictTable table = table_of(
      {path_to("", 0), path_to("/ap", 1), path_to("/api", 2), path_to("/api/", 3), path_to("/api/v1", 4),
       path_to(longest, 5), path_to(as_long, 6), path_to("/no", VerdictTable::kReturns), path_to("//", 7)});
  const struct {
    std::string target;
    uint32_t route;
  } kTargets[] = {{"/", 0},
                  {"/?/api/", 0},
                  {"/ap", 1},
                  {"/ap?x", 1},
                  {"/ap/", 1},
                  {"/api", 2},
                  {"/api?x", 2},
                  {"/apix", 0},
                  {"/api/", 3},
                  {"/api/x", 3},
                  {"/api//x", 3},
                  {"/api/v1", 4},
                  {"/api/v1/x", 4},
                  {"/api/v1x", 3},
                  {"/API", 0},
                  {"/no", VerdictTable::kReturns},
                  {"/no/x", VerdictTable::kReturns},
                  {"/nox", 0},
                  {"//x", 7},
                  {longest, 5},
                  {longest + "x", 5},
                  {longest.substr(0, 55), 0},
                  {as_long, 6},
                  {as_long + "/x", 6},
                  {as_long + "?x", 6},
                  {as_long + "m", 0},
                  {as_long.substr(0, 55), 0},
                  {longest + "x/y", 5}};
  for (const auto& [target, route] : kTargets) expect_route(rig, report, table, target, route);
}

// Of deeper ones user space knows where they lead.
void depth(Rig& rig, Report& report) {
  std::vector<VerdictTable::Path> paths = {path_to("", 0)};
  for (size_t length = 2; length < 20; length++)
    paths.push_back(path_to("/" + std::string(length - 1, 'z'), 1));
  expect_route(rig, report, table_of(paths), "/1/2/3", 0);
  expect_route(rig, report, table_of(paths), "/1/2/3/", VerdictTable::kReturns);
  expect_route(rig, report, table_of(paths), "/1/2/3/4/5/6/7/8/9", VerdictTable::kReturns);
  // Only lengths that the table has count.
  expect_route(rig, report, table_of({path_to("", 0), path_to("/zz", 1)}), "/1/2/3/4/5/6/7/8/9", 0);
}

void nowhere(Rig& rig, Report& report) {
  expect_route(rig, report, table_of({}), "/", VerdictTable::kReturns);
  expect_route(rig, report, table_of({path_to("/a", 1)}), "/b", VerdictTable::kReturns);
  // Of another class of hosts.
  VerdictTable::Path other = path_to("", 1);
  other.host_class = 1;
  expect_route(rig, report, table_of({other}), "/", VerdictTable::kReturns);
}

void methods(Rig& rig, Report& report) {
  const VerdictTable table = table_of({{0, "", {{to_route(1), to_route(2)}}},
                                       {0, "/get", {{to_route(3), {}}}},
                                       {0, "/head", {{{}, to_route(4)}}}});
  const struct {
    const char* line;
    uint32_t route;
  } kLines[] = {{"GET / HTTP/1.1", 1},
                {"HEAD / HTTP/1.1", 2},
                {"GET /get HTTP/1.1", 3},
                {"HEAD /get HTTP/1.1", VerdictTable::kReturns},
                {"GET /head HTTP/1.1", VerdictTable::kReturns},
                {"HEAD /head HTTP/1.1", 4}};
  for (const auto& [line, route] : kLines) {
    report.where = std::string(line) + ": ";
    expect_verdict(rig, report, head_of(line), route != VerdictTable::kReturns, table);
    if (route != VerdictTable::kReturns) report.equal("route", rig.judge().passed.route, route);
  }
}

void pools(Rig& rig, Report& report) {
  VerdictTable::Path path = path_to("", 1);
  path.to[1].pool++;
  const VerdictTable table = table_of({path});
  expect_verdict(rig, report, head_of("GET / HTTP/1.1"), true, table);
  expect_verdict(rig, report, head_of("HEAD / HTTP/1.1"), false, table);
}

// The policy looks at the target: only what it has placed at this link's backend passes.
void placed(Rig& rig, Report& report) {
  VerdictTable table = table_of({{0, "", {{to_route(1, kPool, true), to_route(1)}}}, path_to("/free", 2)});
  // Another one than that of the last run.
  static uint64_t generation = 100;
  table.generation = generation++;
  const uint32_t version = rig.publish(table);
  const auto place = [&](const std::string& target, uint32_t backend, uint32_t route = 1) {
    const uint64_t hash = packet::hash_target(packet::hash_host(rig.seed(), kHost), target);
    rig.place({version, route, hash}, backend);
  };
  for (const char* target : {"/here", "/here?x=1", "/12345678", "/123456789012345"}) place(target, kBackend);
  place("/there", kBackend + 1);
  place("/elsewhere", kBackend, 2);
  const struct {
    const char* target;
    bool passes;
  } kTargets[] = {{"/here", true},       {"/here?x=1", true},        {"/here?x=2", false},
                  {"/her", false},       {"/herf", false},           {"/there", false},
                  {"/elsewhere", false}, {"/unknown", false},        {"/12345678", true},
                  {"/12345679", false},  {"/123456789012345", true}, {"/123456789012346", false},
                  {"/free", true}};
  for (const auto& [target, passes] : kTargets) {
    report.where = std::string(target) + ": ";
    expect_verdict(rig, report, get(target), passes, table);
  }
  report.where = "HEAD: ";
  expect_verdict(rig, report, head_of("HEAD /unknown HTTP/1.1"), true, table);
  report.where = "another host: ";
  Judged link(rig, report, kPlain, table);
  link.judge.host_hash++;
  link.expect_returns(link.request(get("/here")));
  report.where = "another table: ";
  table.generation = generation++;
  expect_verdict(rig, report, get("/here"), false, table);
}

}  // namespace

std::vector<Case> route_cases() {
  return {
      {"heads", "lead where the longest path does", longest_path},
      {"heads", "return when they are too deep", depth},
      {"heads", "return when they lead nowhere", nowhere},
      {"heads", "lead elsewhere by method", methods},
      {"heads", "return when they lead to another pool", pools},
      {"heads", "return when their target is somewhere else", placed},
  };
}

}  // namespace longsplice::programs
