/** Requests that are judged one by one: every byte arrives, and most requests never come to user space. */
import { describe, expect, it } from "vitest";
import { packetProgram } from "../support/packet-programs.js";
import { PacketRun, type RunOptions, type Target } from "../support/packet-run.js";
import { FAMILIES, PLACEMENTS, type Topology } from "../support/packet-topology.js";

const gets = (count: number): Target[] =>
  Array.from({ length: count }, (_, seed) => ({ down: (seed * 7_919) % 40_000, seed }));

const bodies = (targets: readonly Target[]): number => targets.reduce((all, { up = 0 }) => all + up, 0);

/** The first request is served by user space, and the second makes the link. */
async function expectJudged(run: PacketRun, least: number): Promise<void> {
  const counters = await run.proxy.quietCounters();
  expect([counters.fallbacks, counters.impossible]).toEqual([{}, []]);
  expect(counters.event("judged")).toBeGreaterThanOrEqual(least);
}

describe.each(PLACEMENTS)("requests between %s hosts", (placement) => {
  it.each(FAMILIES)("pass by verdicts with IPv%i, and the others return", async (family) => {
    const run = await PacketRun.start(placement, family, { plain: true });
    await run.expectAnswered(gets(50));
    await expectJudged(run, 48);
    const mixed = [
      ...gets(10),
      { up: 5_000, down: 5_000, seed: 1 },
      ...gets(10),
      { up: 1, down: 1 },
      ...gets(10),
    ];
    await run.expectAnswered(mixed);
    // Behind a request that returned, one more is for user space.
    await expectJudged(run, 48 + 8 + 9 + 9);
    await run.expectAnswered(gets(20), { end: "half" });
    await run.expectBackends(50 + mixed.length + 20, bodies(mixed));
  });

  it("arrive whole when they do not wait for each other", async () => {
    const run = await PacketRun.start(placement, 4, { plain: true });
    await run.expectAnswered(gets(30), { pipeline: 1 });
    await run.expectBackends(30, 0);
  });
});

function withoutOffloads({ client, proxy, backend }: Topology): void {
  const program = packetProgram("offloads");
  client.run(program, ["uplink"]);
  proxy.run(program, ["clients", "backends"]);
  backend.run(program, ["uplink"]);
}

const BAD = ["--to-right", "loss=2,duplicate=2,reorder=2", "--to-left", "loss=2,duplicate=2,reorder=2"];

describe("a bad line", () => {
  it.each<[string, RunOptions]>([
    ["client", { impairClient: BAD }],
    ["backend", { impairBackend: BAD }],
  ])("to the %s costs judged requests time, and no byte", async (_name, impaired) => {
    const run = await PacketRun.start("routed", 4, { plain: true, prepare: withoutOffloads, ...impaired });
    await run.expectAnswered(gets(100));
    await expectJudged(run, 80);
    await run.expectBackends(100, 0);
  });
});
