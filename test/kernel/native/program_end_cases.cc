// How links end, and what is noted of responses.
#include "program_cases.h"

namespace longsplice::programs {

namespace {

// Lets a segment pass and looks at nothing but what it leaves behind.
void pass(Rig& rig, Link& link, const ls_record& from, const Segment& segment) {
  link.arrive(from, segment);
  rig.counted();
}

void expect_event(Rig& rig, Report& report, uint32_t kind) {
  const std::vector<ls_event> events = rig.events();
  report.equal("events", events.size(), size_t{kind == 0 ? 0u : 1u});
  if (kind == 0 || events.empty()) return;
  report.equal("kind", events[0].kind, kind);
  // Either end will do.
  report.equal("of the link", events[0].record == 3 || events[0].record == 8, true);
}

// A FIN, noted, moved and counted as a byte.
void say_fin(Link& link, Report& report, ls_record& from, Segment in) {
  in.flags |= kFin;
  const ls_record& to = &from == &link.client ? link.backend : link.client;
  const uint32_t end = end_of(in);
  link.expect_spliced(from, in, spliced(in, from, to));
  report.equal("fin_end", from.fin_end, end);
  report.equal("ends", from.ends & LS_FIN, uint32_t{LS_FIN});
  report.equal("seq_next", from.seq_next, end);
}

void finish(Rig& rig, Report& report, const Shape& shape, bool client_first, size_t last_bytes) {
  report.where = shape.name() + (client_first ? ", the client first" : ", the backend first") + ": ";
  Link link(rig, report, shape);
  ls_record& first = client_first ? link.client : link.backend;
  ls_record& second = client_first ? link.backend : link.client;
  const auto from = [&](const ls_record& record) {
    return &record == &link.client ? link.from_client() : link.from_backend();
  };
  Segment in = from(first);
  in.payload = Bytes(last_bytes, 'x');
  say_fin(link, report, first, in);
  // Half-closed: the other direction goes on.
  in = from(second);
  in.ack += static_cast<uint32_t>(last_bytes) + 1;
  in.payload = Bytes(9, 'y');
  link.expect_spliced(second, in, spliced(in, second, first));
  in = from(second);
  in.payload = Bytes(last_bytes, 'y');
  say_fin(link, report, second, in);
  expect_event(rig, report, 0);
  // Acknowledged but for the FIN; then that too.
  in = from(first);
  in.ack = second.fin_end + second.delta_seq - 1;
  link.expect_spliced(first, in, spliced(in, first, second));
  expect_event(rig, report, 0);
  in.ack++;
  link.expect_spliced(first, in, spliced(in, first, second), Sums::none, "spliced 1, finished 1");
  expect_event(rig, report, LS_EVENT_FINISHED);
  report.equal("ends", first.ends & second.ends, uint32_t{LS_FIN | LS_OVER});
  // It ends once, and goes on for whoever missed something.
  link.expect_spliced(first, in, spliced(in, first, second));
  expect_event(rig, report, 0);
}

void both_fin(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    for (const bool client_first : {true, false}) {
      for (const size_t last_bytes : {0u, 5u}) finish(rig, report, shape, client_first, last_bytes);
    }
  }
}

void fin_again(Rig& rig, Report& report) {
  Link link(rig, report);
  Segment in = link.from_client();
  in.payload = Bytes(4, 'x');
  say_fin(link, report, link.client, in);
  // Again, with less in it.
  in.seq += 4;
  in.payload.clear();
  say_fin(link, report, link.client, in);
  report.equal("fin_end", link.client.fin_end, link.client.link_rcv + 5);
}

// Both at once: each acknowledges the other's FIN later.
void both_fin_at_once(Rig& rig, Report& report) {
  Link link(rig, report);
  say_fin(link, report, link.client, link.from_client());
  say_fin(link, report, link.backend, link.from_backend());
  Segment in = link.from_client();
  in.ack++;
  link.expect_spliced(link.client, in, spliced(in, link.client, link.backend));
  expect_event(rig, report, 0);
  in = link.from_backend();
  in.ack++;
  const Segment want = spliced(in, link.backend, link.client);
  link.expect_spliced(link.backend, in, want, Sums::none, "spliced 1, finished 1");
  expect_event(rig, report, LS_EVENT_FINISHED);
}

void expect_reset(Rig& rig, Report& report, Link& link, ls_record& from, const Segment& in, bool believed) {
  const ls_record& to = &from == &link.client ? link.backend : link.client;
  link.expect_spliced(from, in, spliced(in, from, to), Sums::none,
                      believed ? "spliced 1, resets 1" : "spliced 1");
  expect_event(rig, report, believed ? LS_EVENT_RESET : 0);
  report.equal("ends", from.ends, believed ? uint32_t{LS_RESET | LS_OVER} : 0u);
  report.equal("ends of the other", to.ends, believed ? uint32_t{LS_OVER} : 0u);
}

void reset(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    for (const bool client : {true, false}) {
      for (const int flags : {int{kRst}, kRst | kAck}) {
        for (const uint32_t off : {0u, 1u, 0xffffffffu, 0x40000000u, 0x80000000u}) {
          report.where = shape.name() + ", off by " + std::to_string(off) + ": ";
          Link link(rig, report, shape);
          Segment in = client ? link.from_client() : link.from_backend();
          in.flags = static_cast<uint8_t>(flags);
          in.seq += off;
          expect_reset(rig, report, link, client ? link.client : link.backend, in, off == 0);
        }
      }
    }
  }
}

void reset_once(Rig& rig, Report& report) {
  Link link(rig, report);
  Segment in = link.from_client();
  in.flags = kRst;
  expect_reset(rig, report, link, link.client, in, true);
  link.expect_spliced(link.client, in, spliced(in, link.client, link.backend));
  expect_event(rig, report, 0);
}

// The backend may not have got what its stack was to send before: the RST would have a number that it does not believe.
void held_reset(Rig& rig, Report& report) {
  Link link(rig, report);
  link.backend.local_snd += 140;
  Segment in = link.from_client();
  in.flags = kRst;
  link.expect_dropped(link.arrive(link.client, in), "resuming 1, resets 1");
  expect_event(rig, report, LS_EVENT_RESET);
  report.equal("ends", link.client.ends, uint32_t{LS_RESET | LS_OVER | LS_HELD});
  // One is as good as many.
  link.expect_dropped(link.arrive(link.client, in), "resuming 1");
  expect_event(rig, report, 0);
}

// Bytes were lost behind the link, so the other end challenges the reset, and the answer has the number that it waits
// for: below what went by here (RFC 5961, 3.2).
void challenged_reset(Rig& rig, Report& report) {
  Link link(rig, report);
  Segment in = link.from_client();
  in.payload = Bytes(100, 'x');
  pass(rig, link, link.client, in);
  Segment challenge = link.from_backend();
  pass(rig, link, link.backend, challenge);
  in = link.from_client();
  in.flags = kRst;
  in.seq -= 100;
  expect_reset(rig, report, link, link.client, in, true);
}

void reused(Rig& rig, Report& report) {
  for (const Shape& shape : all_shapes()) {
    for (const bool leaves : {false, true}) {
      report.where = shape.name() + (leaves ? ", from here: " : ", to here: ");
      Link link(rig, report, shape);
      Segment syn = leaves ? link.from_stack_of(link.client) : link.from_client();
      syn.flags = kSyn;
      const auto send = [&] { return leaves ? link.leave(link.client, syn) : link.arrive(link.client, syn); };
      // Not while the link stands.
      send();
      rig.counted();
      report.equal("known while linked", rig.published(link.client.key), true);
      link.client.ends = LS_FIN | LS_OVER;
      link.expect_passed(send(), syn, "reused 1");
      report.equal("known afterwards", rig.published(link.client.key), false);
      report.equal("the other one is", rig.published(link.backend.key), true);
      link.expect_passed(send(), syn, "");
    }
  }
}

// An answer to a SYN, and what else has the flag, is of a connection that stands.
void not_reused(Rig& rig, Report& report) {
  Link link(rig, report);
  link.client.ends = LS_FIN | LS_OVER;
  Segment in = link.from_client();
  in.flags = kSyn | kAck;
  link.expect_spliced(link.client, in, spliced(in, link.client, link.backend));
  report.equal("known", rig.published(link.client.key), true);
}

// Behind a FIN that went to the stack before the link: nothing is where its number says, so what we say next has the old one.
void reset_ahead(Rig& rig, Report& report) {
  Link link(rig, report);
  const uint32_t reached = link.backend.seq_next;
  Segment in = link.from_backend();
  in.flags = kRst;
  in.seq++;
  link.expect_spliced(link.backend, in, spliced(in, link.backend, link.client));
  report.equal("seq_next", link.backend.seq_next, reached);
  expect_event(rig, report, 0);
}

// Who sleeps is called, once; who is awake looks by itself.
void calls(Rig& rig, Report& report) {
  for (const bool asleep : {true, false, true}) {
    report.where = asleep ? "asleep: " : "awake: ";
    Link link(rig, report);
    rig.worker().asleep = asleep ? 1 : 0;
    for (const size_t expected : {size_t{asleep ? 1u : 0u}, size_t{0}}) {
      link.client.ends = link.backend.ends = 0;
      Segment in = link.from_client();
      in.flags |= kRst;
      const Run run = link.arrive(link.client, in);
      expect_event(rig, report, LS_EVENT_RESET);
      report.equal("asleep", rig.worker().asleep, 0u);
      if (run.calls) report.equal("calls", *run.calls, expected);
      rig.counted();
    }
  }
}

}  // namespace

std::vector<Case> end_cases() {
  return {
      {"ends", "after FIN of both, when both are acknowledged", both_fin},
      {"ends", "at the end of what the first FIN told", fin_again},
      {"ends", "after two FIN at once", both_fin_at_once},
      {"ends", "after RST with the very number", reset},
      {"ends", "once", reset_once},
      {"ends", "not at RST with the number behind the next one", reset_ahead},
      {"ends", "call a worker that sleeps", calls},
      {"ends", "after RST that does not go on", held_reset},
      {"ends", "after RST with the number that the other end waits for", challenged_reset},
      {"ends", "leave the addresses to new connections", reused},
      {"ends", "leave no addresses to anything but new connections", not_reused},
  };
}

}  // namespace longsplice::programs
