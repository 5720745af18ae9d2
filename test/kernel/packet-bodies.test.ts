/** Long bodies in forward mode `exchange`: each goes past the proxy by itself, on connections that are used again. */
import { describe, expect, it } from "vitest";
import { MB, PacketRun, type Target } from "../support/packet-run.js";
import { FAMILIES, PLACEMENTS } from "../support/packet-topology.js";
import { Random } from "../support/random.js";

const EXCHANGE = { plain: true, config: { forward: "exchange" } } as const;

/** Requests with bodies of any length up to `most`, both ways. */
function randomTargets(count: number, most: number, seed: number): Target[] {
  const random = new Random(seed);
  return Array.from({ length: count }, (_, index) => ({
    up: random.chance(0.5) ? random.below(most) : 0,
    down: random.below(most),
    seed: index,
  }));
}

const sum = (targets: readonly Target[], name: "up" | "down"): number =>
  targets.reduce((total, target) => total + (target[name] ?? 0), 0);

/** One connection with these requests; every byte arrives, and links came and went. Returns how many returned. */
async function expectCycles(run: PacketRun, targets: readonly Target[]): Promise<number> {
  const received = sum(targets, "down");
  const client = await run.fetch(targets);
  expect(client).toMatchObject({ responses: targets.length, received, wrongAt: -1, end: "fin" });
  const counters = await run.proxy.quietCounters();
  // Two processors may hand over what the backend sends in another order, before there is a record for the socket.
  expect(counters.fallbacks).toSatisfy(({ out_of_order, ...others }) => Object.keys(others).length === 0);
  expect(counters.impossible).toEqual([]);
  // Each link returned: none was cut, and nobody was reset.
  expect(counters.links("resumed")).toBe(counters.links());
  expect(counters.event("resumed")).toBeLessThanOrEqual(counters.links());
  expect(counters.forwardedBytes("packet")).toBeGreaterThan(received / 8);
  await run.expectBackends(targets.length, sum(targets, "up"));
  return counters.links();
}

describe.each(PLACEMENTS)("long bodies between %s hosts", (placement) => {
  it.each(FAMILIES)("go past the proxy's stacks with IPv%i, and come back", async (family) => {
    const run = await PacketRun.start(placement, family, EXCHANGE);
    const links = await expectCycles(run, randomTargets(40, 2 * MB, family));
    expect(links).toBeGreaterThan(10);
  });
});

/** An answer that begins before its request has ended also ends the connection. */
describe.each(PLACEMENTS)("early answers from %s hosts", (placement) => {
  it("arrive whole", async () => {
    const run = await PacketRun.start(placement, 4, EXCHANGE);
    for (let seed = 0; seed < 8; seed++) {
      const [target] = [{ up: 3 * MB, down: 2 * MB, early: true as const, seed }];
      await run.expectAnswered([target]);
    }
    expect((await run.proxy.quietCounters()).impossible).toEqual([]);
  });
});

describe("a connection", () => {
  it("is linked and taken back 1,000 times, and every byte arrives", async () => {
    const run = await PacketRun.start("routed", 4, EXCHANGE);
    // Those with less than 512 KiB still to come are copied, and the first ones, until both ends have opened their windows.
    const links = await expectCycles(run, randomTargets(1_700, 1.5 * MB, 7));
    expect(links).toBeGreaterThan(1_000);
  }, 240_000);
});

describe("a client that trickles a long body", () => {
  it("does not keep a backend busy, though it never stops", async () => {
    const config = { ...EXCHANGE.config, timeouts: { stream: "1s", drain: "1s" } };
    const run = await PacketRun.start("routed", 4, { ...EXCHANGE, config });
    const began = performance.now();
    // 50 bytes a second; the whole would take six hours.
    const client = await run.fetch([{ up: MB }], { write: "10:200000" });
    expect(client.responses).toBe(0);
    expect(performance.now() - began).toBeLessThan(15_000);
    const counters = await run.proxy.quietCounters();
    expect(counters.links("resumed") + counters.links("idle")).toBe(1);
    expect((await run.served())[0]!.received).toBeLessThan(1_000);
  });
});
