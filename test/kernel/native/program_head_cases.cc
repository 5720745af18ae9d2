// Which heads of requests pass, and where they lead.
#include <random>

#include "../../../native/engine/packet/verdict_hash.h"
#include "program_judged.h"

namespace longsplice::programs {

namespace {

const std::string kGet = "GET / HTTP/1.1";

// On a link of its own.
void expect_verdict(Judged& link, const std::string& head, bool passes) {
  const Segment in = link.request(head);
  if (passes) {
    link.expect_passes(in);
  } else {
    link.expect_returns(in);
  }
}

void expect_verdict(Rig& rig, Report& report, const std::string& head, bool passes,
                    const VerdictTable& table = plain_table(), const Shape& shape = kPlain) {
  Judged link(rig, report, shape, table);
  expect_verdict(link, head, passes);
}

// What the programs know of the fields of one head must not make them take others for plain.
void expect_verdict_behind(Rig& rig, Report& report, const std::string& first, const std::string& head,
                           bool passes, const VerdictTable& table) {
  Judged link(rig, report, kPlain, table);
  link.ask(first);
  link.answer();
  const Segment acknowledgement = link.request("");
  link.expect_spliced(link.client, acknowledgement, spliced(acknowledgement, link.client, link.backend));
  expect_verdict(link, head, passes);
}

std::string shown(const std::string& head) {
  std::string text;
  for (const char c : head.substr(0, 60)) {
    char hex[8];
    snprintf(hex, sizeof hex, "\\x%02x", static_cast<uint8_t>(c));
    text += c >= ' ' && c <= '~' ? std::string(1, c) : hex;
  }
  return text;
}

void expect_all(Rig& rig, Report& report, const std::vector<std::string>& heads, bool passes) {
  for (const std::string& head : heads) {
    report.where = shown(head) + ": ";
    report.equal("the model's word", is_plain(head, plain_table()), passes);
    for (const bool v6 : {false, true})
      expect_verdict(rig, report, head, passes, plain_table(), {v6, false, false});
  }
}

std::string fields(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; i++) text += "a: b\r\n";
  return text;
}

// With a target of so many bytes.
std::string long_target(size_t length, const std::string& begin = "/") {
  return head_of("GET " + begin + std::string(length - begin.size(), 'x') + " HTTP/1.1");
}

// A head of so many bytes.
std::string long_head(size_t length) {
  const size_t others = head_of(kGet, "a: \r\n").size();
  return head_of(kGet, "a: " + std::string(length - others, 'x') + "\r\n");
}

void plain(Rig& rig, Report& report) {
  std::string visible;
  for (char c = ' '; c <= '~'; c++) visible += c;
  expect_all(rig, report,
             {
                 head_of(kGet),
                 head_of("HEAD / HTTP/1.1"),
                 head_of("GET /a/b-c_d~e!$&'()*+,;=:@f HTTP/1.1"),
                 head_of("GET /a.b/c..d/e. HTTP/1.1"),
                 head_of("GET //a///b HTTP/1.1"),
                 head_of("GET /? HTTP/1.1"),
                 head_of("GET /a?b=%20%2e&c=/../?//. HTTP/1.1"),
                 head_of(kGet, "accept: " + visible + "\r\n"),
                 head_of(kGet, "accept: \r\n"),
                 head_of(kGet, "accept:  */*  \r\n"),
                 head_of(kGet, "a: b\r\n0-9: c\r\n"),
                 head_of(kGet, std::string(39, 'n') + ": v\r\n"),
                 head_of(kGet, "connection: keep-alive\r\n"),
                 head_of(kGet, "Connection: Keep-Alive\r\n"),
                 head_of(kGet, "x-secrets: v\r\nx-secre: v\r\nx-forwa: v\r\n"),
                 kGet + "\r\nHOST: test.example\r\n\r\n",
                 kGet + "\r\na: b\r\nHost: test.example\r\nc: d\r\n\r\n",
                 head_of(kGet, fields(62)),
                 long_target(255),
                 long_target(255, "/a?b="),
                 long_head(1'983),
                 long_head(1'984),
             },
             true);
}

void bad_line(Rig& rig, Report& report) {
  std::vector<std::string> heads = {
      "GET / HTTP/1.1\r\n\r\n",
      "GET /\r\n\r\n           ",
      long_target(256),
      long_target(256, "/a?b="),
      long_target(510, "/a?b="),
      head_of("GET / HTTP/1.1 "),
      "\r\n" + head_of(kGet),
      " " + head_of(kGet),
      head_of(kGet).replace(14, 2, "\n"),
      head_of(kGet).replace(14, 2, "\r"),
  };
  for (const char* line : {"POST / HTTP/1.1",    "PUT / HTTP/1.1",
                           "DELETE / HTTP/1.1",  "OPTIONS / HTTP/1.1",
                           "OPTIONS * HTTP/1.1", "CONNECT a:1 HTTP/1.1",
                           "TRACE / HTTP/1.1",   "get / HTTP/1.1",
                           "Get / HTTP/1.1",     "head / HTTP/1.1",
                           "GETT / HTTP/1.1",    "HEADS / HTTP/1.1",
                           "GET / HTTP/1.0",     "GET / HTTP/1.2",
                           "GET / HTTP/2.0",     "GET / http/1.1",
                           "GET / HTTP/1.10",    "GET  / HTTP/1.1",
                           "GET /  HTTP/1.1",    "GET\t/ HTTP/1.1",
                           "GET /\tHTTP/1.1",    "GET http://test.example/ HTTP/1.1",
                           "GET * HTTP/1.1",     "GET a HTTP/1.1",
                           "GET /./a HTTP/1.1",  "GET /a/. HTTP/1.1",
                           "GET /../a HTTP/1.1", "GET /a/.. HTTP/1.1",
                           "GET /.a HTTP/1.1",   "GET /a/..;/b HTTP/1.1",
                           "GET /%61 HTTP/1.1",  "GET /a%2fb HTTP/1.1",
                           "GET /a#b HTTP/1.1",  "GET /a?b#c HTTP/1.1",
                           "GET /a\\b HTTP/1.1", "GET /a?b\\c HTTP/1.1",
                           "GET /a\"b HTTP/1.1", "GET /a|b HTTP/1.1",
                           "GET /a b HTTP/1.1",  "GET /\x7f HTTP/1.1",
                           "GET /\x80 HTTP/1.1", "GET /?\xff HTTP/1.1",
                           "GET /\x01 HTTP/1.1", "HEAD http://a/ HTTP/1.1"}) {
    heads.push_back(head_of(line));
  }
  heads.push_back(head_of(std::string("GET /\0 HTTP/1.1", 15)));
  expect_all(rig, report, heads, false);
}

void bad_fields(Rig& rig, Report& report) {
  std::vector<std::string> heads = {
      kGet + "\r\n\r\n",
      kGet + "\r\na: b\r\n\r\n",
      kGet + "\r\nhost: test.example:80\r\n\r\n",
      kGet + "\r\nhost: test.exampl\r\n\r\n",
      kGet + "\r\nhost: test.exampl3\r\n\r\n",
      kGet + "\r\nhost: Test.example\r\n\r\n",
      kGet + "\r\nhost: test.example \r\n\r\n",
      kGet + "\r\nhost:  test.example\r\n\r\n",
      kGet + "\r\nhost:test.example\r\n\r\n",
      kGet + "\r\nhost: \r\n\r\n",
      kGet + "\r\nhost: " + std::string(300, 'h') + "\r\n\r\n",
      kGet + "\r\nhosts: test.example\r\n\r\n",
      kGet + "\r\nhost: test.example\r\n",
      kGet + "\r\nhost: test.example\r\n\r",
      kGet + "\r\nhost: test.example\n\n",
      kGet + "\r\nhost: test.example\r\n\r\nx",
      head_of(kGet) + head_of(kGet),
      head_of(kGet, fields(63)),
      head_of(kGet, fields(64)),
      head_of(kGet, fields(200)),
      long_head(1'985),
      long_head(2'048),
      head_of(kGet, std::string(40, 'n') + ": v\r\n"),
      head_of(kGet, std::string(300, 'n') + ": v\r\n"),
      head_of(kGet, std::string("a: \0b\r\n", 7)),
      head_of(kGet, std::string("a\0: b\r\n", 7)),
  };
  for (const char* field : {"host: test.example",
                            "Host: other.example",
                            "host: other.example",
                            "content-length: 0",
                            "Content-Length: 5",
                            "CONTENT-LENGTH: 5",
                            "transfer-encoding: chunked",
                            "upgrade: h2c",
                            "expect: 100-continue",
                            "x-secret: v",
                            "X-SECRET: v",
                            "x-forwarded-for: 1.2.3.4",
                            "X-Forwarded-Proto: h",
                            "x-forwarder: v",
                            "connection: close",
                            "connection: upgrade",
                            "connection: keep-alive, x",
                            "connection: keep-aliv",
                            "connection: ",
                            "x_y: v",
                            "a : b",
                            "a\t: b",
                            " a: b",
                            "\ta: b",
                            ": b",
                            "a",
                            "a:",
                            "a:b",
                            "a:\tb",
                            "a: b\tc",
                            "a: b\rc",
                            "a: b\nc",
                            "a: b\n\r",
                            "a: \x7f",
                            "a: \x80",
                            "a: b\xff",
                            "\xc3\xa4: b",
                            "a: \x01",
                            "a: b\x1f",
                            "a@: b",
                            "a[: b",
                            "a{: b",
                            "a/: b",
                            "content-length\t: 5",
                            "content-length : 5",
                            "a: b\r\n c",
                            "a: b\r\n\tc"}) {
    heads.push_back(head_of(kGet, std::string(field) + "\r\n"));
  }
  expect_all(rig, report, heads, false);
}

// Every byte at every place of a short head, and at the edges of words of a long one.
void every_byte(Rig& rig, Report& report) {
  const std::string head = head_of("GET /a?b HTTP/1.1", "accept: x\r\nconnection: keep-alive\r\n");
  const VerdictTable table = plain_table();
  for (size_t at = 0; at < head.size(); at++) {
    for (int byte = 0; byte < 256; byte++) {
      std::string changed = head;
      changed[at] = static_cast<char>(byte);
      report.where = shown(changed) + ": ";
      const bool passes = is_plain(changed, table);
      expect_verdict(rig, report, changed, passes, table);
      expect_verdict_behind(rig, report, head, changed, passes, table);
    }
  }
}

// Plain heads with some bytes changed, left out, doubled.
void random_heads(Rig& rig, Report& report) {
  std::mt19937 random(20'261'127);
  const auto below = [&](size_t limit) { return random() % limit; };
  const VerdictTable table = plain_table();
  static const std::string kPieces[] = {"\r\n",
                                        "\n",
                                        "\r",
                                        " ",
                                        ":",
                                        ": ",
                                        "/",
                                        "/.",
                                        "?",
                                        "%",
                                        "\t",
                                        "host",
                                        "HEAD",
                                        "GET ",
                                        "test.example",
                                        "a: b\r\n",
                                        "content-length",
                                        "x-forwarded-for: ",
                                        "\xff"};
  int passed = 0;
  for (int i = 0; i < 6'000; i++) {
    const std::string fields = "accept: */*\r\nuser-agent: test/1.0 (x)\r\ncookie: a=b; c=d\r\n";
    std::string head =
        head_of(below(2) ? "GET /some/path?query=1 HTTP/1.1" : "HEAD /index.html HTTP/1.1", fields);
    for (size_t changes = below(3); changes > 0; changes--) {
      const size_t at = below(head.size());
      const std::string& piece = kPieces[below(std::size(kPieces))];
      switch (below(4)) {
        case 0:
          head.insert(at, piece);
          break;
        case 1:
          head.erase(at, 1 + below(4));
          break;
        case 2:
          head.replace(at, std::min(piece.size(), head.size() - at), piece);
          break;
        default:
          head[at] = static_cast<char>(random());
      }
      if (head.empty()) head = "x";
    }
    const bool passes = is_plain(head, table);
    passed += passes ? 1 : 0;
    report.where = shown(head) + ": ";
    expect_verdict(rig, report, head, passes, table);
    expect_verdict_behind(rig, report, head_of("GET /other HTTP/1.1", fields), head, passes, table);
  }
  report.where = "";
  report.equal("enough of them pass", passed > 1'000, true);
  report.equal("enough of them return", passed < 5'000, true);
}

void limits(Rig& rig, Report& report) {
  VerdictTable table = plain_table();
  table.head_bytes = 200;
  for (const size_t length : {199u, 200u, 201u}) {
    report.where = std::to_string(length) + " bytes: ";
    expect_verdict(rig, report, long_head(length), length <= 200, table);
  }
  table = plain_table();
  table.fields = 10;
  for (const size_t count : {9u, 10u, 11u}) {
    report.where = std::to_string(count) + " fields: ";
    expect_verdict(rig, report, head_of(kGet, fields(count - 1)), count <= 10, table);
  }
}

void versions(Rig& rig, Report& report) {
  const VerdictTable first = plain_table();
  VerdictTable second = first;
  second.generation = 1;
  Judged link(rig, report, kPlain, first);
  rig.publish(second);
  link.expect_returns(link.request(head_of(kGet)));
  // As when the link is to return.
  Judged recalled(rig, report);
  recalled.judge.version = 0;
  recalled.expect_returns(recalled.request(head_of(kGet)));
}

// ---- Where they lead -----------------------------------------------------------------------------------------------

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

std::vector<Case> head_cases() {
  return {
      {"heads", "pass when they are plain", plain},
      {"heads", "return with another request line", bad_line},
      {"heads", "return with other fields", bad_fields},
      {"heads", "pass with a byte changed only where it may be", every_byte},
      {"heads", "pass as the model says", random_heads},
      {"heads", "return beyond the limits", limits},
      {"heads", "return when the table has changed", versions},
      {"heads", "lead where the longest path does", longest_path},
      {"heads", "return when they are too deep", depth},
      {"heads", "return when they lead nowhere", nowhere},
      {"heads", "lead elsewhere by method", methods},
      {"heads", "return when they lead to another pool", pools},
      {"heads", "return when their target is somewhere else", placed},
  };
}

}  // namespace longsplice::programs
