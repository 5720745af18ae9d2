// Budgets, and links that return to the stacks at a packet beyond one.
#include <algorithm>
#include <functional>

#include "program_cases.h"

namespace longsplice::programs {

namespace {

constexpr uint32_t kAsked = 100, kAnswered = 200;
constexpr uint32_t kNumber = 5;  // of the link

struct Side {
  ls_record& record;
  ls_record& peer;
};
Side side_of(Link& link, bool client) {
  return client ? Side{link.client, link.backend} : Side{link.backend, link.client};
}

void limit(ls_record& record, uint32_t budget) {
  record.flags |= LS_BUDGET;
  record.budget_end = record.link_rcv + budget;
}

void number(Link& link) { link.client.phase = link.backend.phase = kNumber << 2 | LS_LINKED; }

// The client asked, the backend answered; the client has not acknowledged the answer.
void converse(Rig& rig, Link& link) {
  number(link);
  Segment in = link.from_client();
  in.payload = Bytes(kAsked, 'q');
  link.arrive(link.client, in);
  in = link.from_backend();
  in.ack += kAsked;
  in.payload = Bytes(kAnswered, 'a');
  link.arrive(link.backend, in);
  rig.counted();
  rig.events();
}

// Behind the conversation, and acknowledging all of it.
Segment next_request(Link& link) {
  Segment in = link.from_client();
  in.ack += kAnswered;
  in.payload = Bytes(33, 'n');
  in.flags = kAck | kPsh;
  return in;
}

void expect_local(Report& report, const Link& link, uint32_t from_client, uint32_t from_backend,
                  const ls_record& client, const ls_record& backend) {
  report.equal("phase of the client", link.client.phase, kNumber << 2 | LS_LOCAL);
  report.equal("phase of the backend", link.backend.phase, kNumber << 2 | LS_LOCAL);
  report.equal("the client's adv_in", link.client.adv_in, client.adv_in + from_client);
  report.equal("the client's adv_out", link.client.adv_out, client.adv_out + from_backend);
  report.equal("the backend's adv_in", link.backend.adv_in, backend.adv_in + from_backend);
  report.equal("the backend's adv_out", link.backend.adv_out, backend.adv_out + from_client);
}

// Nothing went past: the packet goes to its own stack, and nobody else has to hear of it.
void at_once(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    for (const bool client : {true, false}) {
      report.where = shape.name() + (client ? ", client: " : ", backend: ");
      Link link(rig, report, shape);
      number(link);
      const ls_record before[] = {link.client, link.backend};
      const auto [record, peer] = side_of(link, client);
      limit(record, 0);
      Segment in = client ? link.from_client() : link.from_backend();
      in.payload = Bytes(33, 'n');
      const Run run = link.arrive(record, in);
      link.expect_passed(run, to_stack(in, record), "local_in 1, resumed 1");
      report.equal("copies", run.copies.size(), size_t{0});
      expect_local(report, link, 0, 0, before[0], before[1]);
    }
  }
}

// The other end hears what the packet acknowledges; the stack gets the packet.
void with_the_last_acknowledgement(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    for (const Sums sums : {Sums::none, Sums::partial}) {
      if (!rig.takes(sums) || !rig.takes_cut(sums)) continue;
      report.where = shape.name() + ", kind " + std::to_string(static_cast<int>(sums)) + ": ";
      Link link(rig, report, shape);
      const ls_record before[] = {link.client, link.backend};
      limit(link.client, kAsked);
      converse(rig, link);
      Segment in = next_request(link);
      in.options = joined({nops(2), timestamps_option(50'000'000, 60'500'000)});
      Segment last_ack = spliced(in, link.client, link.backend);
      last_ack.payload.clear();
      last_ack.flags = kAck;
      const Bytes arrived = frame_of(in, sums);
      const Run run = link.arrive(link.client, in, sums);
      report.frame("acknowledgement", run.packet, frame_of(last_ack, sums));
      report.equal("counts", rig.counted(), std::string("spliced 1, resumed 1, last_acks 1"));
      report.equal("copies", run.copies.size(), size_t{1});
      for (const Copy& copy : run.copies) {
        report.frame("copy", copy.packet, arrived);
        if (copy.tag) report.equal("tag", static_cast<int>(*copy.tag), static_cast<int>(Tag::none));
      }
      expect_local(report, link, kAsked, kAnswered, before[0], before[1]);
      // The copy, when it comes by again.
      link.expect_passed(link.arrive(link.client, in, sums), to_stack(in, link.client), "local_in 1", sums);
    }
  }
}

// Bytes that went past before are not for the stack, and it knows how to leave them out.
void at_a_packet_that_begins_before_it(Rig& rig, Report& report) {
  Link link(rig, report);
  const ls_record before[] = {link.client, link.backend};
  limit(link.client, kAsked);
  converse(rig, link);
  Segment in = next_request(link);
  in.seq -= 10;
  in.ack -= kAnswered;
  link.client.ack_seen = in.ack += kAnswered;
  const Run run = link.arrive(link.client, in);
  link.expect_passed(run, to_stack(in, link.client), "local_in 1, resumed 1");
  expect_local(report, link, kAsked, kAnswered, before[0], before[1]);
  report.equal("what the stack expects is inside",
               after(end_of(to_stack(in, link.client)), link.client.local_rcv), true);
}

// It has to come again, but what it acknowledges goes on.
void expect_refused(Rig& rig, Link& link, Report& report, const Segment& in) {
  Segment ack = in;
  ack.payload.clear();
  ack.flags = kAck;
  ack.seq = link.client.seq_next;
  const Segment want = spliced(ack, link.client, link.backend);
  const Run run = link.arrive(link.client, in);
  report.frame("acknowledgement", run.packet, frame_of(want));
  report.equal("counts", rig.counted(), std::string("spliced 1, not_quiet 1"));
  report.equal("phase of the client", link.client.phase, kNumber << 2 | LS_LINKED);
  report.equal("phase of the backend", link.backend.phase, kNumber << 2 | LS_LINKED);
}

void not_while_something_is_under_way(Rig& rig, Report& report) {
  Link link(rig, report);
  limit(link.client, kAsked);
  converse(rig, link);
  const Segment in = next_request(link);
  Segment early = in;
  early.ack -= 1;
  report.where = "answer not acknowledged: ";
  expect_refused(rig, link, report, early);
  report.where = "something missing before it: ";
  early = in;
  early.seq += 1;
  expect_refused(rig, link, report, early);
  report.where = "request not acknowledged: ";
  link.backend.ack_seen -= 1;
  expect_refused(rig, link, report, in);
  link.backend.ack_seen += 1;
  report.where = "closed by the client: ";
  link.client.ends = LS_FIN;
  expect_refused(rig, link, report, in);
  report.equal("events", rig.events().size(), size_t{0});
}

// The client's next request, when the backend has closed behind its answer.
Segment after_fin_of_backend(Rig& rig, Link& link) {
  Segment fin = link.from_backend();
  fin.flags |= kFin;
  link.arrive(link.backend, fin);
  rig.counted();
  Segment in = next_request(link);
  in.ack += 1;
  return in;
}

void late(Rig& rig, Report& report) {
  Link link(rig, report);
  limit(link.client, kAsked);
  converse(rig, link);
  Segment in = after_fin_of_backend(rig, link);
  expect_refused(rig, link, report, in);
  const std::vector<ls_event> events = rig.events();
  report.equal("events", events.size(), size_t{1});
  if (!events.empty()) report.equal("kind", events[0].kind, uint32_t{LS_EVENT_LATE});
  // It is said once.
  expect_refused(rig, link, report, in);
  report.equal("events", rig.events().size(), size_t{0});
}

void fin(Rig& rig, Report& report) {
  Link link(rig, report);
  const ls_record before[] = {link.client, link.backend};
  limit(link.client, kAsked);
  converse(rig, link);
  Segment in = next_request(link);
  in.payload.clear();
  in.flags = kAck | kFin;
  link.client.ack_seen = in.ack;
  link.expect_passed(link.arrive(link.client, in), to_stack(in, link.client), "local_in 1, resumed 1");
  expect_local(report, link, kAsked, kAnswered, before[0], before[1]);
}

// One that answers the other end's goes past, as without a budget.
void second_fin(Rig& rig, Report& report) {
  Link link(rig, report);
  limit(link.client, kAsked);
  converse(rig, link);
  Segment in = after_fin_of_backend(rig, link);
  in.payload.clear();
  in.flags = kAck | kFin;
  link.expect_spliced(link.client, in, spliced(in, link.client, link.backend));
}

void spent(Rig& rig, Report& report) {
  for (const bool client : {true, false}) {
    for (const uint32_t missing : {0u, 1u}) {
      report.where = std::string(client ? "client, " : "backend, ") + std::to_string(missing) + " missing: ";
      Link link(rig, report);
      number(link);
      const auto [record, peer] = side_of(link, client);
      limit(record, kAsked);
      Segment in = client ? link.from_client() : link.from_backend();
      in.payload = Bytes(kAsked - missing, 'q');
      link.arrive(record, in);
      in = client ? link.from_backend() : link.from_client();
      in.ack += kAsked - missing - 1;
      link.arrive(peer, in);
      report.equal("events before", rig.events().size(), size_t{0});
      in.ack += 1;
      link.arrive(peer, in);
      link.arrive(peer, in);
      const std::vector<ls_event> events = rig.events();
      report.equal("events", events.size(), size_t{1 - missing});
      for (const ls_event& event : events) {
        report.equal("kind", event.kind, uint32_t{LS_EVENT_SPENT});
        report.equal("of", event.record, peer.peer);
      }
      rig.counted();
    }
  }
}

// A backend that answers early: what the client sends from here on returns, what it sent before may come again.
void early_answer(Rig& rig, Report& report) {
  Link link(rig, report);
  number(link);
  limit(link.client, 1'000);
  limit(link.backend, 0);
  Segment in = link.from_client();
  in.payload = Bytes(kAsked, 'q');
  link.arrive(link.client, in);
  Segment answer = link.from_backend();
  answer.payload = Bytes(kAnswered, 'a');
  link.arrive(link.backend, answer);
  report.equal("counts", rig.counted(), std::string("spliced 2, not_quiet 1"));
  report.equal("budget", link.client.budget_end, link.client.link_rcv + kAsked);
  Segment again = in;
  link.expect_spliced(link.client, again, spliced(again, link.client, link.backend));
  in = link.from_client();
  in.payload = Bytes(kAsked, 'q');
  expect_refused(rig, link, report, in);
  // When the request has arrived, so far as it went, the answer can.
  answer.ack += kAsked;
  link.arrive(link.backend, answer);
  report.equal("counts", rig.counted(), std::string("spliced 1, resumed 1, last_acks 1"));
  link.expect_passed(link.arrive(link.backend, answer), to_stack(answer, link.backend), "local_in 1");
  rig.events();
}

// A reset of the backend is answered by this host, not passed on.
void reset_within_a_budget(Rig& rig, Report& report) {
  Link link(rig, report);
  number(link);
  limit(link.backend, 0);
  Segment in = link.from_backend();
  in.flags = kRst | kAck;
  link.expect_dropped(link.arrive(link.backend, in), "resuming 1, resets 1");
  report.equal("ends", link.backend.ends & (LS_RESET | LS_HELD), uint32_t{LS_RESET | LS_HELD});
  report.equal("events", rig.events().size(), size_t{1});
}

// The stacks' clocks must not fall behind what the remote ends have seen (RFC 7323, 5.3).
void clocks(Rig& rig, Report& report) {
  Link link(rig, report);
  limit(link.client, kAsked);
  converse(rig, link);
  link.client.ts_base_ns = link.backend.ts_base_ns = 0;
  link.client.ts_base = link.backend.ts_base = 0;
  link.client.last_tsval = 0x70000000;
  const uint32_t advance = link.backend.ts_advance;
  link.backend.last_tsval = 0;
  link.arrive(link.client, next_request(link));
  rig.counted();
  report.equal("advanced", after(link.client.ts_advance, 0x60000000), true);
  report.equal("left alone", link.backend.ts_advance, advance);
}

// A link that nothing may pass on, seen from either end.
void on_either_side(Rig& rig, Report& report,
                    const std::function<void(Link& link, ls_record& record, ls_record& peer)>& run) {
  for (const bool client : {true, false}) {
    report.where = client ? "client: " : "backend: ";
    Link link(rig, report);
    number(link);
    limit(link.client, 0);
    limit(link.backend, 0);
    const auto [record, peer] = side_of(link, client);
    run(link, record, peer);
  }
}

Segment from(const Link& link, const ls_record& end) {
  return &end == &link.client ? link.from_client() : link.from_backend();
}

// A stack that was given later bytes misses earlier ones: they go to it, and the link stays until it has been read empty.
void gap(Rig& rig, Report& report) {
  on_either_side(rig, report, [&](Link& link, ls_record& record, ls_record& peer) {
    record.budget_end += 1'000;
    constexpr uint32_t kGap = 40, kLater = 70;
    record.given += kGap + kLater;
    Segment in = from(link, record);
    in.payload = Bytes(kGap, 'g');
    link.expect_passed(link.arrive(record, in), to_stack(in, record), "old_data 1");
    // More than what is missing: the stack gets it, too.
    in.payload = Bytes(kGap + kLater + 5, 'g');
    link.expect_passed(link.arrive(record, in), to_stack(in, record), "old_data 1");
    report.equal("given", record.given, record.link_rcv + kGap + kLater + 5);
    report.equal("seq_next", record.seq_next, record.link_rcv);
    // What comes behind that goes past the stack. Until that one has the rest, its numbers must not move.
    in.seq = record.given;
    in.payload = Bytes(9, 'p');
    link.expect_spliced(record, in, spliced(in, record, peer));
    Segment other = from(link, peer);
    other.payload = Bytes(33, 'n');
    other.ack = record.seq_next + record.delta_seq;
    link.arrive(peer, other);
    report.equal("counts", rig.counted(), std::string("spliced 1, not_quiet 1"));
    // User space has read it all and sent it on.
    record.local_rcv += kGap + kLater + 5;
    peer.local_snd += kGap + kLater + 5;
    link.expect_passed(link.arrive(peer, other), to_stack(other, peer), "local_in 1, resumed 1");
  });
}

// Where nothing went past a stack, its numbers stay, and what it was given besides is its own business. It may have had no
// room for that, and gets none as long as the link stands.
void own_business(Rig& rig, Report& report) {
  on_either_side(rig, report, [&](Link& link, ls_record& record, ls_record& peer) {
    record.given += 30'000;
    const uint32_t given = record.given, advance = record.adv_in;
    Segment other = from(link, peer);
    other.payload = Bytes(33, 'n');
    link.expect_passed(link.arrive(peer, other), to_stack(other, peer), "local_in 1, resumed 1");
    report.equal("advance", record.adv_in, advance);
    report.equal("given", record.given, given);
  });
}

// Behind the budget there is no more room than in the own stack, whatever the other end says.
void narrow_window(Rig& rig, Report& report) {
  constexpr uint32_t kRoom = 50'000;
  for (const bool on_link : {true, false}) {
    Link link(rig, report);
    number(link);
    limit(link.backend, kAnswered);
    link.backend.edge = link.backend.local_rcv + kRoom;
    link.client.window = 1 << 20;
    Segment in = on_link ? link.from_client() : link.from_stack_of(link.backend);
    in.window = 8'192;  // 1 MiB
    Segment want =
        on_link ? spliced(in, link.client, link.backend) : from_linked_stack(in, link.backend, link.client);
    want.window = static_cast<uint16_t>((kAnswered + kRoom) >> link.backend.local_wscale);
    const uint32_t told = want.ack + (uint32_t{want.window} << link.backend.local_wscale);
    for (const uint32_t before : {told - 1, told + 1}) {
      link.backend.told = before;
      if (on_link) {
        link.expect_spliced(link.client, in, want);
      } else {
        in.window = 1;
        link.expect_passed(link.leave(link.backend, in), want, "stack_acks 1");
      }
      report.equal("told", link.backend.told, std::max(told, before));
    }
  }
  // A stack has room for some, though it has not said so.
  Link link(rig, report);
  number(link);
  limit(link.backend, 0);
  link.backend.edge = link.backend.local_rcv - 5;
  Segment in = link.from_client();
  in.window = 8'192;  // 1 MiB
  Segment want = spliced(in, link.client, link.backend);
  want.window = static_cast<uint16_t>(LS_LEAST_ROOM >> link.backend.local_wscale);
  link.expect_spliced(link.client, in, want);
}

void orphan(Rig& rig, Report& report) {
  Link link(rig, report);
  number(link);
  link.backend.phase += 4;
  link.expect_dropped(link.arrive(link.client, link.from_client()), "orphans 1");
}

}  // namespace

std::vector<Case> resume_cases() {
  return {
      {"resume", "happens at the first packet beyond the budget", at_once},
      {"resume", "tells the other end what that packet acknowledges", with_the_last_acknowledgement},
      {"resume", "happens behind what went past, wherever the packet begins",
       at_a_packet_that_begins_before_it},
      {"resume", "does not happen while something is under way", not_while_something_is_under_way},
      {"resume", "does not happen when a FIN went past", late},
      {"resume", "happens at a FIN", fin},
      {"resume", "does not happen at a FIN that answers one", second_fin},
      {"resume", "is due when the budget has arrived", spent},
      {"resume", "is prepared when a backend answers early", early_answer},
      {"resume", "is not left to a backend that resets", reset_within_a_budget},
      {"resume", "takes the clocks along", clocks},
      {"resume", "waits for what a stack misses", gap},
      {"resume", "does not wait for what concerns one stack alone", own_business},
      {"resume", "is prepared by a window that its stack has room for", narrow_window},
      {"resume", "leaves no way to the record of somebody else", orphan},
  };
}

}  // namespace longsplice::programs
