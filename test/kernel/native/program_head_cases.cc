// Which heads of requests pass.
#include <random>

#include "program_judged.h"

namespace longsplice::programs {

namespace {

const std::string kGet = "GET / HTTP/1.1";

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
  };
}

}  // namespace longsplice::programs
