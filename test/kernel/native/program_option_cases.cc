#include <ctime>

#include "program_cases.h"

namespace longsplice::programs {

namespace {

struct Layout {
  const char* name;
  Bytes options;
  bool timestamps;  // whether the programs are to find them
  size_t blocks;    // how many blocks of SACK they are to find
};

std::vector<uint32_t> edges(size_t blocks) {
  std::vector<uint32_t> edges;
  for (uint32_t i = 0; i < 2 * blocks; i++) edges.push_back(97'000 + 1'448 * i);
  return edges;
}

Bytes stamps() { return timestamps_option(61'000'000, 60'500'000); }

std::vector<Layout> layouts() {
  std::vector<Layout> all = {
      {"none", {}, false, 0},
      {"as Linux writes timestamps", joined({nops(2), stamps()}), true, 0},
      {"timestamps first", joined({stamps(), nops(2)}), true, 0},
      {"timestamps at an odd place", joined({nops(1), stamps(), nops(1)}), true, 0},
      {"the end of options behind timestamps", joined({stamps(), {0, 0}}), true, 0},
      {"unknown options around timestamps", joined({{253, 4, 1, 2}, stamps(), {254, 2}}), true, 0},
      {"an unknown option of odd length before timestamps", joined({{253, 3, 9}, stamps(), nops(3)}), true,
       0},
      {"MD5 before timestamps", joined({{19, 18}, Bytes(16, 5), stamps()}), true, 0},
      {"timestamps at the very end of 40 bytes", joined({{253, 30}, Bytes(28, 3), stamps()}), true, 0},
      {"timestamps twice", joined({timestamps_option(1, 2), stamps()}), true, 0},
      {"SACK before timestamps", joined({sack_option(edges(1)), stamps()}), true, 1},
      {"SACK at an odd place", joined({nops(1), sack_option(edges(2)), nops(1)}), false, 2},
      {"SACK at an odd place behind timestamps",
       joined({stamps(), nops(1), sack_option(edges(3)), {0, 0, 0}}), true, 3},
      {"40 bytes without meaning", nops(40), false, 0},
      {"an end before timestamps", joined({{0, 0}, stamps()}), false, 0},
      {"timestamps that are too short", joined({{8, 9}, Bytes(7, 1), nops(3)}), false, 0},
      {"timestamps that are too long", joined({{8, 12}, Bytes(10, 1)}), false, 0},
      {"timestamps that reach beyond the header", joined({nops(4), {8, 10, 1, 2, 3, 4, 5, 6}}), false, 0},
      {"SACK without a block", joined({nops(2), {5, 2}}), false, 0},
      {"SACK with half a block", joined({nops(2), {5, 6, 1, 2, 3, 4}}), false, 0},
      {"SACK with a block and a half", joined({{5, 14}, Bytes(12, 9), nops(2)}), false, 1},
      {"SACK that reaches beyond the header", joined({nops(2), {5, 34}, Bytes(20, 7)}), false, 0},
      {"a length of 0", joined({{253, 0}, stamps()}), false, 0},
      {"a length of 1", joined({{253, 1}, stamps()}), false, 0},
      {"a length beyond the header", joined({{253, 255}, stamps()}), false, 0},
      {"a kind without a length", joined({nops(3), {8}}), false, 0},
  };
  for (size_t blocks = 1; blocks <= 4; blocks++) {
    all.push_back({"SACK", joined({nops(2), sack_option(edges(blocks))}), false, blocks});
    if (blocks == 4) break;
    all.push_back({"timestamps and SACK", joined({nops(2), stamps(), nops(2), sack_option(edges(blocks))}),
                   true, blocks});
  }
  return all;
}

// How much of the options changed: so the model is not believed where it errs together with the programs.
size_t words_changed(const Bytes& before, const Bytes& after_it) {
  size_t changed = 0;
  for (size_t i = 0; i < before.size(); i++) changed += before[i] != after_it[i] ? 1 : 0;
  return changed;
}

void every_layout(Rig& rig, Report& report) {
  for (const Layout& layout : layouts()) {
    for (const Shape& shape : all_shapes()) {
      report.where = std::string(layout.name) + ", " + shape.name() + ": ";
      Link link(rig, report, shape);
      Segment in = link.from_client();
      in.options = layout.options;
      in.payload = Bytes(layout.options.size() % 3, 'x');
      const Segment want = spliced(in, link.client, link.backend);
      const size_t changed = words_changed(in.options, want.options);
      report.equal("options that the model moves", changed > 0, layout.timestamps || layout.blocks > 0);
      link.expect_spliced(link.client, in, want);
      const bool found = link.backend.last_tsval == 61'111'111;
      report.equal("found timestamps", found, layout.timestamps);
    }
  }
}

// What a host says was received, in the numbers of the other one.
void moves_blocks(Rig& rig, Report& report) {
  Link link(rig, report);
  Segment in = link.from_client();
  in.options = joined({nops(2), sack_option({97'000, 98'448, 0xffffffff, 3})});
  Segment want = spliced(in, link.client, link.backend);
  const uint32_t moved = 3'000'020'000u - 97'000u;
  want.options = joined({nops(2), sack_option({97'000 + moved, 98'448 + moved, moved - 1, moved + 3})});
  link.expect_spliced(link.client, in, want);
}

uint32_t clock_of(const ls_record& record) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const uint64_t ns = static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  return record.ts_base + static_cast<uint32_t>((ns - record.ts_base_ns) / 1'000'000);
}

uint32_t tsval_in(const Bytes& frame) {
  const uint8_t* at = &frame[kEthernet + 20 + 20 + 4];
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

void first_timestamp(Rig& rig, Report& report) {
  Link link(rig, report);
  link.client.ts_ready = link.backend.ts_ready = 0;
  link.backend.ts_base = 0xfffffff0;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  link.backend.ts_base_ns = static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 - 5'000'000'000;
  link.backend.last_tsval = clock_of(link.backend) - 1'000;
  Segment in = link.from_client();
  in.options = joined({nops(2), timestamps_option(123, 456)});
  const uint32_t earliest = clock_of(link.backend) + link.backend.ts_advance;
  const Run run = link.arrive(link.client, in);
  const uint32_t latest = clock_of(link.backend) + link.backend.ts_advance;
  const uint32_t sent = tsval_in(run.packet);
  report.equal("not before the stack's clock", after(earliest, sent), false);
  report.equal("not ahead of the stack's clock", after(sent, latest), false);
  report.equal("ready", link.client.ts_ready, 1u);
  report.equal("delta", link.client.ts_delta, sent - 123);
  report.equal("last", link.backend.last_tsval, sent);
  // The other end has sent none that could be echoed.
  Segment want = in;
  want.options = joined({nops(2), timestamps_option(sent, 0)});
  report.frame("options", Bytes(run.packet.end() - 12, run.packet.end()), want.options);
  report.equal("sums", wrong_sums(run.packet), std::string());

  // From then on they go as the sender's clock does.
  rig.counted();
  in.options = joined({nops(2), timestamps_option(133, 456)});
  want = spliced(in, link.client, link.backend);
  want.options = joined({nops(2), timestamps_option(sent + 10, 0)});
  link.expect_spliced(link.client, in, want);
}

void never_back(Rig& rig, Report& report) {
  Link link(rig, report);
  link.client.ts_delta = 0;
  uint32_t highest = link.backend.last_tsval = 0xffffffe0;
  for (const uint32_t tsval :
       {0xffffffd0u, 0xffffffe1u, 0xffffffe0u, 0xffffffffu, 0u, 0xfffffff0u, 7u, 6u, 8u}) {
    Segment in = link.from_client();
    in.options = joined({nops(2), timestamps_option(tsval, 60'500'000)});
    highest = later(highest, tsval);
    Segment want = spliced(in, link.client, link.backend);
    want.options = joined({nops(2), timestamps_option(highest, 60'422'223)});
    link.expect_spliced(link.client, in, want);
    report.equal("last", link.backend.last_tsval, highest);
  }
}

void without_timestamps(Rig& rig, Report& report) {
  Link link(rig, report);
  link.client.ts_ready = 0;
  const Segment in = link.from_client();
  link.expect_spliced(link.client, in, spliced(in, link.client, link.backend));
  report.equal("ready", link.client.ts_ready, 0u);
  report.equal("last", link.backend.last_tsval, 60'000'000u);
}

// A stack answers what it does not know without timestamps: no number of this connection may come of that.
void stack_without_timestamps(Rig& rig, Report& report) {
  for (const uint8_t flags : {kAck, kRst, kFin}) {
    for (const auto state : {LS_LINKED, LS_LOCAL}) {
      report.where = "flags " + std::to_string(flags) + ", state " + std::to_string(state) + ": ";
      Link link(rig, report);
      link.client.phase = link.backend.phase = state;
      // From where whatever else is on the stack of the programs is a step forward.
      for (const uint32_t last : {0x80000010u, 0xc0000000u, 0x10u, 0x40000000u}) {
        link.client.last_tsval = last;
        Segment out = link.from_stack_of(link.client);
        out.flags = static_cast<uint8_t>(flags);
        link.leave(link.client, out);
        report.equal("last", link.client.last_tsval, last);
      }
    }
  }
}

}  // namespace

std::vector<Case> option_cases() {
  return {
      {"options", "finds them wherever they stand, and moves no others", every_layout},
      {"options", "moves blocks of SACK with the acknowledgement", moves_blocks},
      {"options", "begins timestamps at the parked socket's clock", first_timestamp},
      {"options", "never lets a timestamp fall behind an earlier one", never_back},
      {"options", "leaves the timestamps' state alone where there are none", without_timestamps},
      {"options", "takes no timestamp from a stack that sends none", stack_without_timestamps},
  };
}

}  // namespace longsplice::programs
