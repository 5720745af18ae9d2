// Links whose requests are judged: what responses and ends do to them, and what is told of what passed.
#include <functional>

#include "program_judged.h"

namespace longsplice::programs {

namespace {

// ---- Responses -----------------------------------------------------------------------------------------------------

void conversation(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    report.where = shape.name() + ": ";
    Judged link(rig, report, shape);
    for (int i = 0; i < 3; i++) {
      link.ask(kAsk);
      link.answer(kOk + "hello");
      report.equal("state", link.judge.state, uint32_t{LS_IDLE});
      expect_told(rig, report, 200, 5);
    }
    report.equal("ends", link.client.ends | link.backend.ends, 0u);
  }
}

void in_pieces(Rig& rig, Report& report) {
  on_both_families(report, [&](const Shape& shape) {
    Judged link(rig, report, shape);
    link.ask(kAsk);
    link.answer("HTTP/1.1 404 Not Found\r\ncontent-length: 3000\r\n\r\n");
    report.equal("state", link.judge.state, uint32_t{LS_RESPONDING});
    for (int i = 0; i < 3; i++) {
      report.equal("told", rig.passed().size(), size_t{0});
      link.answer(std::string(1'000, 'b'));
    }
    report.equal("state", link.judge.state, uint32_t{LS_IDLE});
    expect_told(rig, report, 404, 3'000);
    link.ask(kAskAnother);
  });
}

// Whatever order packets come in.
void out_of_order(Rig& rig, Report& report) {
  Judged link(rig, report);
  link.ask(kAsk);
  Segment head = link.response("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n1234567890");
  Segment tail = link.response("1234567890");
  tail.seq += static_cast<uint32_t>(head.payload.size());
  link.expect_dropped(link.arrive(link.backend, tail), "unexpected 1");
  report.equal("state", link.judge.state, uint32_t{LS_WAITING});
  link.expect_answers(head);
  link.expect_answers(tail);
  // Again, from the last response and in the middle of it.
  link.expect_answers(tail);
  link.expect_answers(head);
  expect_told(rig, report, 200, 20);
  link.ask(kAskAnother);
  link.expect_answers(tail);
  report.equal("state", link.judge.state, uint32_t{LS_WAITING});
}

void plain_responses(Rig& rig, Report& report) {
  const struct {
    std::string ask, text;
    uint32_t status, body;
  } kResponses[] = {
      {kAsk, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, 0},
      {kAsk, "HTTP/1.1 200 OK\r\nCONTENT-LENGTH:2\r\n\r\nab", 200, 2},
      {kAsk, "HTTP/1.1 200\r\ncontent-length: 02\r\n\r\nab", 200, 2},
      {kAsk, "HTTP/1.1 503 \r\na: \r\ncontent-length: 1\r\nb: c\r\n\r\nx", 503, 1},
      {kAsk, "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx", 200, 1},
      {kAsk, "HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 1\r\n\r\nx", 200, 1},
      {kAsk, "HTTP/1.1 200 OK\r\nx-content-length: 7\r\ncontent-type: a\r\ncontent-length: 1\r\n\r\nx", 200,
       1},
      {kAsk, "HTTP/1.1 204 No Content\r\n\r\n", 204, 0},
      {kAsk, "HTTP/1.1 204 No Content\r\ncontent-length: 10\r\n\r\n", 204, 0},
      {kAsk, "HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n", 304, 0},
      {head_of("HEAD / HTTP/1.1"), "HTTP/1.1 200 OK\r\n\r\n", 200, 0},
      {head_of("HEAD / HTTP/1.1"), "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", 200, 0},
  };
  for (const auto& each : kResponses) {
    report.where = each.text.substr(0, 50) + ": ";
    Judged link(rig, report);
    link.ask(each.ask);
    link.answer(each.text);

    expect_told(rig, report, each.status, each.body);
  }
  report.where = "the longest: ";
  Judged link(rig, report);
  link.ask(kAsk);
  link.answer("HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n");
  report.equal("bytes to come", link.judge.response_end - link.judge.body_begin, 999'999'999u);
}

void unread(Rig& rig, Report& report) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  std::string many;
  for (int i = 0; i < 64; i++) many += "a: b\r\n";
  std::vector<std::string> texts = {
      "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx",
      "HTTP/1.2 200 OK\r\ncontent-length: 1\r\n\r\nx",
      "HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1 199 Odd\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1 2x0 OK\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1\t200 OK\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1  200 OK\r\ncontent-length: 0\r\n\r\n",
      "ICY 200 OK\r\ncontent-length: 0\r\n\r\n",
      "garbage garbage garbage garbage",
      "HTTP/1.1 20",
      ok,
      ok + "content-length: 5\r\n",
      ok + "content-length: 5\r\n\r",
      ok + "\r\n",
      ok + many + "content-length: 1\r\n\r\nx",
      ok + "a: " + std::string(1'990, 'a') + "\r\ncontent-length: 1\r\n\r\nx",
      ok + "content-length: 5\r\n\r\ntoo long",
      ok + "content-length: 0\r\n\r\n" + kOk + "hello",
      ok + "content-length: 5\n\r\nhello",
      "HTTP/1.1 200 OK\ncontent-length: 5\r\n\r\nhello",
      ok + "content-length: 5\r\n\nhello",
      "HTTP/1.1 204 No Content\r\n\r\nx",
      "HTTP/1.1 200 \xff\r\ncontent-length: 0\r\n\r\n",
      ok + "a: \xff\r\ncontent-length: 0\r\n\r\n",
      ok + "a: \t\r\ncontent-length: 0\r\n\r\n",
      ok + "a\r\ncontent-length: 0\r\n\r\n",
      ok + "a : b\r\ncontent-length: 0\r\n\r\n",
      ok + ": b\r\ncontent-length: 0\r\n\r\n",
      ok + "a_b: c\r\ncontent-length: 0\r\n\r\n",
      ok + "a: b\rc\r\ncontent-length: 0\r\n\r\n",
      "HTTP/1.1 304 Not Modified\r\ncontent-length: 1\r\n\r\nx",
  };
  for (const char* field :
       {"transfer-encoding: chunked", "Transfer-Encoding: gzip, chunked", "connection: close",
        "Connection: Close", "connection:close", "connection: keep-alive, close", "connection: x-secret",
        "upgrade: h2c", "Upgrade:h2c", "content-length: 5", "Content-Length: 6", "content-length : 5",
        "content-length\t: 5", "content-length: 5, 5", " content-length: 6", "\tcontent-length: 6",
        "content-lengths: 6", "transfer-encoding : chunked"}) {
    texts.push_back(ok + "content-length: 5\r\n" + field + "\r\n\r\nhello");
    texts.push_back(ok + field + "\r\ncontent-length: 5\r\n\r\nhello");
  }
  for (const char* length : {"", " ", "x", "5x", "+5", "-5", "  5", "5 ", "0x5", "5;", "5,5", "1000000000",
                             "4294967296", "99999999999999999999", "\t5", "\xb5"}) {
    texts.push_back(ok + "content-length: " + length + "\r\n\r\nhello");
  }
  for (const std::string& text : texts) {
    report.where = text.substr(0, 70) + ": ";
    Judged link(rig, report);
    link.ask(kAsk);
    link.acknowledge();
    link.expect_returns(link.response(text), "unread_responses 1");
    // As user space takes it over.
    report.equal("state", link.judge.state, uint32_t{LS_WAITING});
    report.equal("told", rig.passed().size(), size_t{0});
  }
  report.where = "HEAD, chunked: ";
  Judged link(rig, report);
  link.ask(head_of("HEAD / HTTP/1.1"));
  link.acknowledge();
  link.expect_returns(link.response(ok + "transfer-encoding: chunked\r\n\r\n"), "unread_responses 1");
}

// What the client has to hear of such a packet goes on.
void unread_with_the_last_acknowledgement(Rig& rig, Report& report) {
  Judged link(rig, report);
  link.ask(kAsk);
  const Segment in = link.response("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  Segment ack = in;
  ack.payload.clear();
  ack.flags = kAck;
  const Bytes want = frame_of(spliced(ack, link.backend, link.client));
  const Run run = link.arrive(link.backend, in);
  report.frame("acknowledgement", run.packet, want);
  report.equal("counts", rig.counted(), std::string("spliced 1, resumed 1, last_acks 1, unread_responses 1"));
  report.equal("copies", run.copies.size(), size_t{1});
}

void too_long(Rig& rig, Report& report) {
  Judged link(rig, report);
  link.ask(kAsk);
  link.answer(kOk + "hel");
  link.expect_dropped(link.arrive(link.backend, link.response("lo!")), "");
  expect_event(rig, report, LS_EVENT_CLOSED);
  report.equal("ends", link.client.ends & link.backend.ends & LS_OVER, uint32_t{LS_OVER});
}

// ---- Ends ----------------------------------------------------------------------------------------------------------

void fin(Rig& rig, Report& report) {
  report.where = "client, between: ";
  {
    Judged link(rig, report);
    link.ask(kAsk);
    link.answer();
    link.expect_answers(link.acknowledgement_of_backend());
    link.client.ack_seen = link.backend.seq_next + link.backend.delta_seq;
    link.expect_returns(with(link.request(""), kFin));
  }
  report.where = "client, with its request: ";
  {
    Judged link(rig, report);
    link.expect_returns(with(link.request(kAsk), kFin));
  }
  report.where = "client, waiting: ";
  {
    Judged link(rig, report);
    link.ask(kAsk);
    link.expect_acknowledges(with(link.request(""), kFin), link.client.seq_next,
                             "spliced 1, early_requests 1");
    report.equal("ends", link.client.ends, 0u);
    link.answer(kOk);
    report.where = "client, responding: ";
    link.expect_acknowledges(with(link.request(""), kFin), link.client.seq_next,
                             "spliced 1, early_requests 1");
    report.equal("ends", link.client.ends, 0u);
  }
  report.where = "backend, between: ";
  {
    Judged link(rig, report);
    link.expect_returns(with(link.response(""), kFin), "unread_responses 1");
  }
  report.where = "backend, waiting: ";
  {
    Judged link(rig, report);
    link.ask(kAsk);
    Segment early = with(link.response(""), kFin);
    early.seq++;
    link.expect_dropped(link.arrive(link.backend, early), "unexpected 1");
    link.expect_dropped(link.arrive(link.backend, with(link.response(""), kFin)), "");
    expect_event(rig, report, LS_EVENT_CLOSED);
  }
  report.where = "backend, responding: ";
  {
    Judged link(rig, report);
    link.ask(kAsk);
    link.answer(kOk + "he");
    // One that is ahead of what is missing is left for later.
    Segment early = with(link.response(""), kFin);
    early.seq += 3;
    link.expect_dropped(link.arrive(link.backend, early), "");
    report.equal("events", rig.events().size(), size_t{0});
    link.expect_dropped(link.arrive(link.backend, with(link.response(""), kFin)), "");
    expect_event(rig, report, LS_EVENT_CLOSED);
  }
  report.where = "backend, with the last bytes: ";
  {
    Judged link(rig, report);
    link.ask(kAsk);
    link.answer(kOk + "he");
    const Segment last = with(link.response("llo"), kFin);
    Segment want = last;
    want.flags &= static_cast<uint8_t>(~kFin);
    link.expect_spliced(link.backend, last, spliced(want, link.backend, link.client));
    expect_told(rig, report, 200, 5);
    link.client.ack_seen = link.backend.seq_next + link.backend.delta_seq;
    link.expect_returns(with(link.response(""), kFin), "unread_responses 1");
  }
  report.where = "backend, with all of it: ";
  {
    Judged link(rig, report);
    link.ask(kAsk);
    link.acknowledge();
    link.expect_returns(with(link.response(kOk + "hello"), kFin), "unread_responses 1");
  }
}

void rst(Rig& rig, Report& report) {
  const std::function<void(Judged&)> kWhen[] = {
      [](Judged&) {},
      [](Judged& link) { link.ask(kAsk); },
      [](Judged& link) {
        link.ask(kAsk);
        link.answer(kOk);
      },
  };
  for (size_t when = 0; when < std::size(kWhen); when++) {
    report.where = std::to_string(when) + ", client: ";
    {
      Judged link(rig, report);
      kWhen[when](link);
      Segment in = link.request("");
      in.flags = kRst | kAck;
      link.expect_spliced(link.client, in, spliced(in, link.client, link.backend), Sums::none,
                          "spliced 1, resets 1");
      expect_event(rig, report, LS_EVENT_RESET);
      report.equal("held", link.client.ends & LS_HELD, 0u);
    }
    report.where = std::to_string(when) + ", backend: ";
    {
      Judged link(rig, report);
      kWhen[when](link);
      Segment in = link.response("");
      in.flags = kRst | kAck;
      link.expect_dropped(link.arrive(link.backend, in), "resuming 1, resets 1");
      expect_event(rig, report, LS_EVENT_RESET);
      report.equal("held", link.backend.ends & LS_HELD, uint32_t{LS_HELD});
    }
  }
}

void unasked(Rig& rig, Report& report) {
  Judged link(rig, report);
  link.ask(kAsk);
  link.answer();
  link.client.ack_seen = link.backend.seq_next + link.backend.delta_seq;
  link.expect_returns(link.response("HTTP/1.1 408 Request Timeout\r\n\r\n"), "unread_responses 1");
}

// ---- What is told --------------------------------------------------------------------------------------------------

void details(Rig& rig, Report& report) {
  for (const bool head : {false, true}) {
    const std::string line = std::string(head ? "HEAD" : "GET") + " /one?a=b";
    const std::string ask = head_of(line + " HTTP/1.1", "user-agent: x\r\n");
    for (const auto detail :
         {VerdictTable::Detail::none, VerdictTable::Detail::target, VerdictTable::Detail::head}) {
      VerdictTable table = plain_table();
      table.detail = detail;
      Judged link(rig, report, kPlain, table);
      link.ask(ask);
      // What is sent ahead does not change it.
      link.arrive(link.client, link.request(kAskAnother));
      rig.counted();
      link.answer("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
      expect_told(rig, report, 200, 0,
                  detail == VerdictTable::Detail::head     ? ask
                  : detail == VerdictTable::Detail::target ? line
                                                           : "");
    }
  }
}

// Of the request which the link was made with, user space has the head.
void first_request(Rig& rig, Report& report) {
  VerdictTable table = plain_table();
  table.detail = VerdictTable::Detail::head;
  Judged link(rig, report, kPlain, table);
  link.judge.state = LS_WAITING;
  link.judge.passed.route = VerdictTable::kReturns;
  link.expect_acknowledges(link.request(kAskAnother), link.client.seq_next, "spliced 1, early_requests 1");
  link.answer(kOk + "hello");
  expect_told(rig, report, 200, 5, "", VerdictTable::kReturns);
  link.ask(kAsk);
  link.answer(kOk + "hello");
  expect_told(rig, report, 200, 5, kAsk);
}

// Right behind its response, which the client has yet to acknowledge.
void gone(Rig& rig, Report& report) {
  for (const bool fin : {true, false}) {
    report.where = fin ? "FIN: " : "RST: ";
    Judged link(rig, report);
    link.ask(kAsk);
    link.answer();
    link.arrive(link.backend, with(link.response(""), fin ? kFin : kRst));
    const std::string counts = fin ? "spliced 1, not_quiet 1, unread_responses 1" : "resuming 1, resets 1";
    report.equal("counts", rig.counted(), counts);
    const uint32_t ends = fin ? LS_CLOSES : LS_RESET | LS_OVER | LS_HELD;
    report.equal("ends", link.backend.ends, ends);
    if (!fin) expect_event(rig, report, LS_EVENT_RESET);
    const Segment acknowledgement = link.request("");
    link.expect_spliced(link.client, acknowledgement, spliced(acknowledgement, link.client, link.backend));
    // It would pass to who answers.
    link.expect_returns(link.request(kAsk));
  }
}

void full_ring(Rig& rig, Report& report) {
  VerdictTable table = plain_table();
  table.detail = VerdictTable::Detail::head;
  Judged link(rig, report, kPlain, table);
  const std::string ask = head_of("GET / HTTP/1.1", "a: " + std::string(1'900, 'a') + "\r\n");
  constexpr size_t kRequests = 600;
  for (size_t i = 0; i < kRequests; i++) {
    link.arrive(link.client, link.request(ask));
    link.arrive(link.backend, link.response("HTTP/1.1 204 No Content\r\n\r\n"));
  }
  const size_t told = rig.passed().size();
  report.equal("some found it full", told > 400 && told < kRequests, true);
  report.equal("counts", rig.counted(),
               "spliced 1200, judged 600, lost_requests " + std::to_string(kRequests - told));
  link.ask(ask);
  link.answer("HTTP/1.1 204 No Content\r\n\r\n");
  expect_told(rig, report, 204, 0, ask);
}

}  // namespace

std::vector<Case> response_cases() {
  return {
      {"verdicts", "let requests and responses pass in turn", conversation},
      {"verdicts", "let responses pass in pieces", in_pieces},
      {"verdicts", "put up with packets of a response in any order", out_of_order},
      {"verdicts", "know how long a response is", plain_responses},
      {"verdicts", "return at other responses", unread},
      {"verdicts", "return at other responses, with the last acknowledgement",
       unread_with_the_last_acknowledgement},
      {"verdicts", "end the link at a response that is too long", too_long},
      {"verdicts", "know what FIN means at which time", fin},
      {"verdicts", "know who is to hear of RST", rst},
      {"verdicts", "return at the next request when the backend has gone", gone},
      {"verdicts", "return when nobody asked", unasked},
      {"verdicts", "tell as much as they are to", details},
      {"verdicts", "tell of the first request", first_request},
      {"verdicts", "count what finds the ring full", full_ring},
  };
}

}  // namespace longsplice::programs
