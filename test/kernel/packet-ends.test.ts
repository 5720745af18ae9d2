/** How spliced connections end: FIN in every order, half-closed for long, RST from either side at any time. */
import { describe, expect, it } from "vitest";
import { type ClientOptions, MB, PacketRun, type RunOptions, type Target } from "../support/packet-run.js";
import { FAMILIES, tcpCounters } from "../support/packet-topology.js";
import { delay, eventually } from "../support/wait.js";

interface Parting {
  name: string;
  targets: readonly Target[];
  options?: ClientOptions;
}

const PARTINGS: readonly Parting[] = [
  { name: "the client closes first", targets: [{ down: 1_000 }] },
  { name: "the server closes first", targets: [{ down: 1_000, close: true }], options: { end: "server" } },
  {
    name: "the server closes first, behind a long body",
    targets: [{ down: 128 }, { down: 4 * MB, close: true }],
    options: { end: "server" },
  },
  {
    name: "the client closes behind a long body, and the response comes late",
    targets: [{ down: 128 }, { up: 4 * MB, down: 4 * MB, delay: 100 }],
    options: { end: "half" },
  },
  {
    name: "the server closes while the request's body still comes",
    targets: [{ up: 200_000, down: 1_000, early: true, close: true }],
    options: { write: "20000:20000" },
  },
  {
    name: "both close as soon as they can",
    targets: [{ up: MB, down: MB, early: true, close: true }],
    options: { end: "half" },
  },
  {
    name: "the client closes after a while",
    targets: [{ down: 128 }],
    options: { hold: 300 },
  },
];

interface Abortion {
  name: string;
  targets: readonly Target[];
  options: ClientOptions;
  by: "client" | "server";
}

const ABORTIONS: readonly Abortion[] = [
  {
    name: "the client, in the middle of a response",
    targets: [{ down: 8 * MB }],
    options: { "reset-received": MB },
    by: "client",
  },
  {
    name: "the client, in the middle of a request",
    targets: [{ up: 8 * MB }],
    options: { "reset-sent": MB },
    by: "client",
  },
  { name: "the client, between requests", targets: [{ down: 128 }], options: { end: "reset" }, by: "client" },
  { name: "the server, before its response", targets: [{ down: 128, reset: 0 }], options: {}, by: "server" },
  {
    name: "the server, in the middle of a response",
    targets: [{ down: 8 * MB, reset: MB }],
    options: {},
    by: "server",
  },
  {
    name: "the server, in the middle of a later request",
    targets: [{ down: 128 }, { up: 8 * MB, abort: MB }],
    options: {},
    by: "server",
  },
];

describe.each([
  ["routed", 4],
  ["routed", 6],
  ["local", 4],
  ["local-backend", 6],
  ["local-client", 4],
] as const)("a spliced connection of %s hosts with IPv%i", (placement, family) => {
  it("ends as its ends want it to, by FIN or by RST", async () => {
    const run = await PacketRun.start(placement, family);
    for (const { targets, options } of PARTINGS) await run.expectWhole(targets, options);
    const counters = await run.expectLinks(PARTINGS.length);
    expect(counters.links("finished")).toBe(PARTINGS.length);
    expect(counters.event("finished")).toBe(PARTINGS.length);

    for (const { name, targets, options, by } of ABORTIONS) {
      const client = await run.fetch(targets, options);
      const [server] = await run.served();
      // The end that did it has nothing to complain of, the other one was reset. What came before was right.
      expect(by === "client" ? server!.end : client.end, name).toBe("reset");
      expect([client.wrongAt, server!.wrongAt], name).toEqual([-1, -1]);
    }
    const aborted = await run.expectLinks(PARTINGS.length + ABORTIONS.length);
    expect(aborted.links("reset")).toBe(ABORTIONS.length);
  });
});

describe("a spliced connection", () => {
  it("is closed in peace when the proxy stops and nothing is under way", async () => {
    const run = await PacketRun.start("routed", 4, { config: { timeouts: { drain: "5s" } } });
    const client = run.fetch([{ up: MB, down: MB }, { down: 300_000 }], { end: "server" });
    await eventually("an idle link", async () => (await run.proxy.counters()).activeLinks === 1);
    await delay(300);
    await run.proxy.stop();
    expect(await client).toMatchObject({ responses: 2, wrongAt: -1, end: "fin" });
    expect((await run.served())[0]).toMatchObject({ requests: 2, received: MB, wrongAt: -1, end: "fin" });
  });

  it("is reset when the proxy stops and does not want to wait any longer", async () => {
    const run = await PacketRun.start("routed", 6);
    const client = run.fetch([{ down: 64 * MB, write: "20000:10000" }]);
    await eventually("a link", async () => (await run.proxy.counters()).activeLinks === 1);
    await run.proxy.stop();
    expect(await client).toMatchObject({ responses: 0, wrongAt: -1, end: "reset" });
    expect((await run.served())[0]).toMatchObject({ wrongAt: -1, end: "reset" });
  });

  it("is reset when nothing has come for too long", async () => {
    const run = await PacketRun.start("local", 4, { config: { timeouts: { stream: "2s", drain: "1s" } } });
    const client = await run.fetch([{ up: MB, down: MB }], { end: "server" });
    expect(client).toMatchObject({ responses: 1, wrongAt: -1, end: "reset" });
    expect((await run.served())[0]).toMatchObject({ received: MB, wrongAt: -1, end: "reset" });
    expect((await run.expectLinks(1)).links("idle")).toBe(1);
  });

  it("is reset all the same when only keep-alive probes come", async () => {
    const probe = { probe: 1 };
    const config = { timeouts: { stream: "3s", drain: "1s" } };
    const run = await PacketRun.start("routed", 4, { server: probe, config });
    const client = await run.fetch([{ down: 1_000 }], { end: "server", ...probe });
    expect(client).toMatchObject({ responses: 1, wrongAt: -1, end: "reset" });
    expect((await run.served())[0]).toMatchObject({ requests: 1, end: "reset" });
    expect((await run.expectLinks(1)).links("idle")).toBe(1);
    // They did come, from both sides.
    for (const host of [run.topology.client, run.topology.backend]) {
      expect(tcpCounters(host).get("TCPKeepAlive")).toBeGreaterThanOrEqual(2);
    }
  });

  it("or another one serves a client that closes behind its first request", async () => {
    const run = await PacketRun.start("routed", 4);
    for (let i = 0; i < 5; i++) await run.expectAnswered([{ down: MB, delay: 60 }], { end: "half" });
    const counters = await run.proxy.quietCounters();
    // It depends on whether FIN or the proxy comes first.
    const { half_closed: refused = 0, ...others } = counters.fallbacks;
    // ... and one that was copied has had a link for its body.
    const forGood = counters.links() - counters.links("resumed");
    expect([forGood + refused, others]).toEqual([5, {}]);
    expect(counters.impossible).toEqual([]);
    await run.expectBackends(5, 0);
  });

  it("or another one serves clients that close behind the head of their tunnel", async () => {
    const run = await PacketRun.start("local", 4);
    for (let i = 0; i < 10; i++) {
      const clients = await run.fetchAll([], { end: "half", connections: 300 });
      expect(new Set(clients.map(({ end }) => end))).toEqual(new Set(["fin"]));
    }
    await eventually("what the backend saw", () => run.servers[0]!.reports.length === 3_000);
    expect(run.servers[0]!.reports.filter(({ end }) => end !== "fin")).toEqual([]);
  });

  it("carries both bodies at once when the server answers early", async () => {
    const run = await PacketRun.start("routed", 4);
    await run.expectWhole([
      { up: 16 * MB, down: 16 * MB, early: true },
      { up: 2 * MB, down: 8 * MB, early: true, read: "65536:2000", seed: 2 },
    ]);
    await run.expectLinks(1);
  });

  it("carries pipelined requests, whichever of them user space saw", async () => {
    const run = await PacketRun.start("local", 6);
    const targets = Array.from({ length: 20 }, (_, seed) => ({ up: seed * 300, down: 3_000 * seed, seed }));
    await run.expectWhole(targets, { pipeline: 1 });
    await run.expectWhole(targets.slice(1), { pipeline: 1, split: 5 });
    await run.expectLinks(2);
  });

  it("carries a body that comes when the link stands already", async () => {
    const run = await PacketRun.start("routed", 6);
    await run.expectWhole([{ up: MB, down: MB }], { split: 60 });
    await run.expectWhole([{ up: 5_000, down: 5_000 }], { split: 60, write: "500:1000" });
    await run.expectLinks(2);
  });
});

describe("the end of the proxy", () => {
  const targets = Array.from({ length: 5 }, (_, seed) => ({ down: 1_000, seed }));
  const start = (family: 4 | 6, options: RunOptions): Promise<PacketRun> =>
    PacketRun.start("routed", family, { plain: true, ...options });

  it.each([
    ["connection", 4, 1],
    ["connection", 6, 2],
    ["request", 4, 2],
  ] as const)(
    "reaches a backend, forward: %s, IPv%i, when %i of its FINs are lost",
    async (forward, family, lost) => {
      const run = await start(family, {
        config: { forward },
        impairBackend: ["--drop", `right:fin:0:${lost}`],
      });
      await run.expectAnswered(targets);
      await run.expectBackends(5, 0);
      expect((await run.topology.backendImpairment!.stop()).toRight.lost).toBe(lost);
    },
  );

  it.each(FAMILIES)("leaves no end of an idle link that asks for an answer, IPv%i", async (family) => {
    const run = await start(family, { config: { timeouts: { drain: "15s" } } });
    const client = run.fetch(targets, { end: "server" });
    await eventually("a link", async () => (await run.proxy.counters()).activeLinks === 1);
    await run.proxy.stop();
    expect(await client).toMatchObject({ responses: 5, wrongAt: -1, end: "fin" });
    expect(await run.served()).toMatchObject([{ requests: 5, end: "fin" }]);
    const asking = ["-Htan", "state", "fin-wait-1", "state", "last-ack", "state", "closing"];
    for (const space of run.topology.spaces)
      await eventually("the last acknowledgement", async () => space.run("ss", asking).trim() === "");
  });
});
