/** Requests that are judged one by one: every byte arrives, and most requests never come to user space. */
import { describe, expect, it } from "vitest";
import { packetProgram } from "../support/packet-programs.js";
import { PacketRun, type RunOptions, type Target } from "../support/packet-run.js";
import { FAMILIES, PLACEMENTS, type Topology, tcpCounters } from "../support/packet-topology.js";

const gets = (count: number): Target[] =>
  Array.from({ length: count }, (_, seed) => ({ down: (seed * 7_919) % 40_000, seed }));

const bodies = (targets: readonly Target[]): number => targets.reduce((all, { up = 0 }) => all + up, 0);

/** The first request is served by user space, and the second makes the link. */
async function expectJudged(run: PacketRun, least: number): Promise<void> {
  const counters = await run.proxy.quietCounters();
  // Two processors may hand over what the backend sends in another order, before there is a record for the socket.
  const { out_of_order: copied = 0, ...others } = counters.fallbacks;
  expect([others, counters.impossible]).toEqual([{}, []]);
  expect(counters.event("judged")).toBeGreaterThanOrEqual(least - copied);
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

/** Each request is read, and gets longer on its way. */
const REQUEST = {
  plain: true,
  config: {
    forward: "request",
    routes: [{ match: {}, pool: "main", setRequestHeaders: { "x-forwarded-for": "{client.address}" } }],
  },
} as const;

describe.each(PLACEMENTS)("requests that are read, between %s hosts", (placement) => {
  it.each(FAMILIES)("need no stack of this host with IPv%i", async (family) => {
    const run = await PacketRun.start(placement, family, REQUEST);
    await run.expectAnswered(gets(50));
    const counters = await run.proxy.quietCounters();
    expect([counters.fallbacks, counters.impossible]).toEqual([{}, []]);
    // The first makes no link, the second makes one through the stacks.
    expect(counters.event("handed")).toBe(48);
    expect(counters.event("split_acks")).toBeLessThan(10);
    const mixed = [
      ...gets(5),
      { up: 5_000, down: 5_000, seed: 1 },
      ...gets(5),
      { up: 1, down: 1 },
      ...gets(5),
    ];
    await run.expectAnswered(mixed);
    expect((await run.proxy.quietCounters()).impossible).toEqual([]);
    await run.expectBackends(50 + mixed.length, bodies(mixed));
  });
});

describe.each(FAMILIES)("requests that go to one backend after the other, with IPv%i", (family) => {
  /** How often each host has sent something again. */
  const play = async (): Promise<number[]> => {
    const run = await PacketRun.start("bridged", family, REQUEST);
    // Longer than it takes a backend to send its last response again.
    const quick = Array.from({ length: 20 }, (_, seed) => ({ down: 100, seed }));
    await run.expectAnswered([...quick, { down: 1_000, delay: 600 }, { down: 1_000 }]);
    const counters = await run.proxy.quietCounters();
    expect(counters.event("handed")).toBeGreaterThanOrEqual(18);
    expect(counters.impossible).toEqual([]);
    const repeated = run.topology.spaces.map((space) => tcpCounters(space).get("RetransSegs")!);
    await run.expectBackends(22, 0);
    return repeated;
  };

  it("leave none of them waiting for an acknowledgement", async () => {
    // A machine that stalls is late with an acknowledgement; one that is never sent is missing every time.
    let repeated = await play();
    for (let more = 0; more < 4 && repeated.some((count) => count > 0); more++) repeated = await play();
    expect(repeated).toEqual(repeated.map(() => 0));
  });
});

describe.each(PLACEMENTS)("a client that is new, between %s hosts", (placement) => {
  it("gets no more than it has room for from a backend that knows larger windows", async () => {
    const run = await PacketRun.start(placement, 4, { plain: true });
    const sizes = [300_000, 200_000, 100_000];
    const clients = 25;
    for (let i = 0; i < clients; i++)
      await run.expectAnswered(
        sizes.map((down) => ({ down, seed: i })),
        { read: "30000:1000" },
      );
    await expectJudged(run, clients);
    const repeated = run.topology.spaces.map((space) => tcpCounters(space).get("RetransSegs")!);
    // A busy machine is late with an acknowledgement now and then. A window that is overrun costs one or more for each client.
    expect(Math.max(...repeated)).toBeLessThan(clients);
    await run.expectBackends(clients * sizes.length, 0);
  });
});

describe.each(PLACEMENTS)("a backend that goes right behind its response, on %s hosts", (placement) => {
  // Long enough for it to be here, also from a server that has to wait for a processor, and too short for FIN to come again. The
  // server waits 50 ms before RST.
  it.each<[string, Target, number]>([
    ["FIN", { down: 100, close: true }, 100],
    ["RST", { down: 100, reset: 100 }, 180],
  ])("is not sent the next request, which may not be sent twice: %s", async (_name, last, pause) => {
    const run = await PacketRun.start(placement, 4, { plain: true });
    const targets = [...gets(3), last, { up: 1_000, down: 100 }, ...gets(2)];
    for (let i = 0; i < 5; i++) await run.expectAnswered(targets, { pause });
    expect((await run.proxy.quietCounters()).impossible).toEqual([]);
    await run.expectBackends(5 * targets.length, 5 * 1_000);
  });
});

describe("a client that takes less than a segment of the backend", () => {
  it("is copied to, as the backend would wait 200 ms with each part of one", async () => {
    const run = await PacketRun.start("local", 4, { plain: true });
    // It shows the backend's connection a larger window.
    await run.expectAnswered(gets(3));
    const targets = [1, 2, 3].map((seed) => ({ down: 100_000, seed }));
    await run.expectAnswered(targets, { rcvbuf: 8_192 });
    const counters = await run.proxy.quietCounters();
    expect([counters.fallbacks, counters.impossible]).toEqual([{ window: 2 }, []]);
    await run.expectBackends(6, 0);
  });
});

describe("a request that is lost on its way from user space", () => {
  it.each([
    ["the request", "right:data:4:1"],
    ["the request, twice", "right:data:4:2"],
    ["the first byte of its response", "left:data:4:1"],
  ])("is repeated by the client: %s", async (_name, drop) => {
    const run = await PacketRun.start("routed", 4, { ...REQUEST, impairBackend: ["--drop", drop] });
    await run.expectAnswered(Array.from({ length: 8 }, (_, seed) => ({ down: 1_000, seed })));
    const counters = await run.proxy.quietCounters();
    expect(counters.impossible).toEqual([]);
    await run.expectBackends(8, 0);
    const { toRight, toLeft } = await run.topology.backendImpairment!.stop();
    expect(toRight.lost + toLeft.lost).toBe(Number(drop.split(":")[3]));
    expect(counters.event("repeated")).toBeGreaterThanOrEqual(toRight.lost);
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
  ])("to the %s costs requests that are read time, and no byte", async (_name, impaired) => {
    const run = await PacketRun.start("routed", 4, { ...REQUEST, prepare: withoutOffloads, ...impaired });
    await run.expectAnswered(gets(100));
    const counters = await run.proxy.quietCounters();
    expect(counters.event("handed")).toBeGreaterThan(50);
    expect(counters.impossible).toEqual([]);
    await run.expectBackends(100, 0);
  });

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
