/** Spliced connections over bad lines: TCP's own repair has to work from end to end, with translated numbers. */
import { describe, expect, it } from "vitest";
import { packetProgram } from "../support/packet-programs.js";
import { MB, PacketRun, type RunOptions } from "../support/packet-run.js";
import { type Topology, tcpCounters } from "../support/packet-topology.js";

/** Packets cut to size, or a loss would take 64 KB at once, and complete checksums, which the far end verifies. */
function withoutOffloads({ client, proxy, backend }: Topology): void {
  const program = packetProgram("offloads");
  client.run(program, ["uplink"]);
  proxy.run(program, ["clients", "backends"]);
  backend.run(program, ["uplink"]);
}

function halfCut({ client, proxy }: Topology): void {
  const program = packetProgram("offloads");
  client.run(program, ["uplink"]);
  proxy.run(program, ["clients"]);
}

const nothing = (): void => undefined;

function expectRightChecksums(run: PacketRun): void {
  for (const space of run.topology.spaces) expect(tcpCounters(space).get("InCsumErrors")).toBe(0);
}

const start = (family: 4 | 6, options: RunOptions): Promise<PacketRun> =>
  PacketRun.start("routed", family, { prepare: withoutOffloads, ...options });

/** The right is where the backend is. */
const LINES = [
  ["loss to the right", ["--to-right", "loss=2"]],
  ["loss to the left", ["--to-left", "loss=2"]],
  ["loss both ways", ["--to-right", "loss=3", "--to-left", "loss=3"]],
  ["duplicates both ways", ["--to-right", "duplicate=3", "--to-left", "duplicate=3"]],
  ["reordering to the right", ["--to-right", "reorder=3,hold=4"]],
  ["reordering to the left", ["--to-left", "reorder=3,hold=4"]],
  [
    "all of it at once",
    ["--to-right", "loss=1,duplicate=1,reorder=2", "--to-left", "loss=1,duplicate=1,reorder=2"],
  ],
] as const;

const BODIES = [
  { down: 3 * MB },
  { up: 3 * MB, seed: 2 },
  { up: MB, down: MB, early: true, seed: 3 },
] as const;

/** Who the bad line leads to, what it does, and the options for it. */
const bad = (who: string, name: string, family: 4 | 6, options: RunOptions) =>
  [who, name, family, options] as const;

describe("a bad line", () => {
  it.each([
    ...LINES.map(([name, rules]) => bad("the client", name, 4, { impairClient: rules })),
    ...LINES.slice(-1).map(([name, rules]) => bad("the client", name, 6, { impairClient: rules })),
    ...LINES.map(([name, rules]) => bad("the backend", name, 4, { impairBackend: rules })),
    // Segments arrive in packets of up to 64 KB, and leave cut to size, and the other way round.
    bad("a client without GSO", "loss both ways", 4, { impairClient: LINES[2][1], prepare: halfCut }),
    // Everybody uses GSO; a loss takes a whole packet.
    bad("a client with GSO", "loss both ways", 4, { impairClient: LINES[2][1], prepare: nothing }),
  ])("to %s with %s costs time, and no byte, with IPv%i", async (_end, _name, family, rules) => {
    const run = await start(family, rules);
    await run.expectWhole(BODIES);
    await run.expectLinks(1);
    expectRightChecksums(run);
    const { clientImpairment, backendImpairment } = run.topology;
    const { toRight, toLeft } = await (clientImpairment ?? backendImpairment)!.stop();
    const spoilt = [toRight, toLeft].flatMap(({ lost, duplicated, reordered }) => [
      lost,
      duplicated,
      reordered,
    ]);
    expect(Math.max(...spoilt)).toBeGreaterThan(2);
  });
});

describe("a client that does not hear the proxy's acknowledgement", () => {
  const retransmitted = ({ topology }: PacketRun) => tcpCounters(topology.client).get("RetransSegs")!;

  it("repeats its request when the link stands, and the backend gets it once", async () => {
    const run = await start(4, { plain: true, impairClient: ["--drop", "left:ack:0:8"] });
    await run.expectAnswered([{ down: 128 }, { down: 10_000, delay: 1_000 }, { down: 128 }]);
    expect(retransmitted(run)).toBeGreaterThan(0);
    const counters = await run.expectLinks(1);
    expect(counters.event("old_data")).toBeGreaterThan(0);
    await run.expectBackends(3, 0);
  });

  it("may repeat head and body in one segment, and the backend gets each of them once", async () => {
    const config = { forward: "exchange" };
    const run = await start(4, { plain: true, config, impairClient: ["--drop", "left:ack:0:8"] });
    await run.expectAnswered([{ up: 200_000, down: 10_000, delay: 500 }], { split: 50 });
    await run.expectBackends(1, 200_000);
  });
});

describe("a lost segment", () => {
  it.each([
    ["the 101, to the client", { impairClient: ["--drop", "left:data:0:1"] }],
    ["the request", { impairClient: ["--drop", "right:data:1:1"] }],
    ["the request, to the backend", { impairBackend: ["--drop", "right:data:1:1"] }],
    ["the response's first one, to the proxy", { impairBackend: ["--drop", "left:data:1:1"] }],
    ["the response's first one, to the client", { impairClient: ["--drop", "left:data:1:1"] }],
    ["the next request", { impairClient: ["--drop", "right:data:2:1"] }],
    ["the client's FIN", { impairClient: ["--drop", "right:fin:0:1"] }],
    ["the client's FIN, to the backend", { impairBackend: ["--drop", "right:fin:0:1"] }],
    ["the server's FIN", { impairBackend: ["--drop", "left:fin:0:1"] }],
    ["the server's FIN, to the client", { impairClient: ["--drop", "left:fin:0:1"] }],
  ] as const)("that is %s comes again", async (_name, rules) => {
    const run = await start(4, rules);
    await run.expectWhole([{ down: 5_000 }, { up: 5_000, down: 128, seed: 2 }]);
    await run.expectLinks(1);
    const { clientImpairment, backendImpairment } = run.topology;
    const { toRight, toLeft } = await (clientImpairment ?? backendImpairment)!.stop();
    expect(toRight.lost + toLeft.lost).toBe(1);
  });
});

describe("a client that aborts before its request has arrived", () => {
  it("is forgotten by the backend as well", async () => {
    const run = await start(4, { impairBackend: ["--drop", "right:data:1:1"] });
    await run.fetch([{ up: 1_000 }], { split: 20, "reset-sent": 0 });
    // Its RST has a number behind the request that got lost, which the backend does not believe.
    expect((await run.served())[0]).toMatchObject({ requests: 0, end: "reset" });
    expect((await run.expectLinks(1)).links("reset")).toBe(1);
  });
});

describe("segments that their sender completed", () => {
  it.each([4, 6] as const)("have right checksums behind the translation with IPv%i", async (family) => {
    const run = await start(family, {});
    await run.expectWhole([{ up: 4 * MB, down: 4 * MB }]);
    const counters = await run.expectLinks(1);
    expectRightChecksums(run);
    // Nothing is larger than a frame now.
    expect(counters.event("spliced")).toBeGreaterThan((8 * MB) / 1_500);
  });
});

describe("a body that is linked while the line to its backend is bad", () => {
  it.each([
    ["loss", "loss=2"],
    ["reordering", "reorder=3,hold=2"],
  ])("brings the bytes of no earlier one, in spite of %s", async (_name, rules) => {
    const config = { forward: "exchange" };
    const run = await start(4, { plain: true, config, impairBackend: ["--to-left", rules] });
    await run.expectAnswered(Array.from({ length: 30 }, (_, seed) => ({ down: 900_000, seed })));
    const counters = await run.proxy.quietCounters();
    expect(counters.impossible).toEqual([]);
    // A socket may have had such segments before there was a record for it.
    expect(Object.keys(counters.fallbacks)).toSatisfy((reasons: string[]) =>
      /^(out_of_order)?$/.test(reasons.join()),
    );
    expect(counters.links("resumed")).toBeGreaterThan(0);
    await run.expectBackends(30, 0);
  });
});
