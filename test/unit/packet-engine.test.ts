import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { NativeStats, PacketInterfaces } from "../../src/dataplane/index.js";
import { planRoute, type RouteFacts } from "../../src/dataplane/planner.js";
import { LongspliceError } from "../../src/errors/index.js";
import { compileRoute } from "../../src/routing/index.js";
import { nameCounters } from "../../src/server/counters.js";
import { Names } from "../../src/server/names.js";
import { PacketEngine, type PacketEngineCalls } from "../../src/server/packet-engine.js";

describe("the packet engine of the process", () => {
  let logged: Record<string, unknown>[];
  let here: PacketInterfaces;
  let calls: PacketEngineCalls;
  const logger = pino({ base: null }, { write: (line) => void logged.push(JSON.parse(line)) });
  const config = { engine: "packet", interfaces: ["lo", "eth0"], workers: 3 } as const;

  beforeEach(() => {
    vi.useFakeTimers();
    logged = [];
    here = { interfaces: ["lo"], error: "" };
    calls = {
      open: vi.fn(() => ({ status: "loaded" as const, hooks: "tcx" as const, interfaces: ["lo"] })),
      refresh: vi.fn(() => here),
      counters: vi.fn(() => ({ spliced: 4 })),
      lastWords: vi.fn(() => null),
      close: vi.fn(),
    };
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const open = () => {
    const engine = PacketEngine.open(config, logger, calls);
    if (typeof engine === "string") throw new Error(engine);
    return engine;
  };

  test("is opened for all workers where the configuration names it", () => {
    for (const engine of ["copy", "pipe"] as const) {
      expect(PacketEngine.open({ ...config, engine }, logger, calls)).toBe(`engine: ${engine} is configured`);
    }
    expect(calls.open).not.toHaveBeenCalled();
    void open().close();
    expect(vi.mocked(calls.open).mock.calls).toEqual([[{ interfaces: ["lo", "eth0"], workers: 3 }]]);
    expect(logged).toMatchObject([{ msg: "packet engine attached", hooks: "tcx", interfaces: ["lo"] }]);
  });

  test("is opened for auto where it can be used, and only then", () => {
    expect(PacketEngine.open({ ...config, engine: "auto" }, logger, calls)).toBeInstanceOf(PacketEngine);
    logged = [];
    const refusing = {
      ...calls,
      open: () => {
        throw new LongspliceError("LS_ENGINE_UNAVAILABLE", "packet: not permitted", { remedy: "Be root." });
      },
    };
    expect(PacketEngine.open({ ...config, engine: "auto" }, logger, refusing)).toMatch(/not permitted/);
    expect(logged).toMatchObject([{ level: 30, remedy: "Be root." }]);
    expect(() => PacketEngine.open(config, logger, refusing)).toThrow(/not permitted/);
  });

  test("looks for interfaces every second, and says what changed and what went wrong, once", () => {
    const engine = open();
    logged = [];
    vi.advanceTimersByTime(2000);
    expect(calls.refresh).toHaveBeenCalledTimes(2);
    expect(logged).toEqual([]);
    here = { interfaces: ["lo", "eth0"], error: "eth1: EPERM" };
    vi.advanceTimersByTime(3000);
    expect(logged).toMatchObject([
      { level: 30, interfaces: ["lo", "eth0"] },
      { level: 40, error: "eth1: EPERM" },
    ]);
    void engine.close();
  });

  test("is closed once, and then has no timer and no counters", async () => {
    const engine = open();
    expect(engine.counters()).toEqual({ spliced: 4 });
    const closed = [engine.close(), engine.close()];
    // The kernel does not say whether it still speaks for sockets that were parked.
    await vi.advanceTimersByTimeAsync(200);
    expect(calls.close).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(100);
    await Promise.all(closed);
    expect(calls.close).toHaveBeenCalledTimes(1);
    expect(engine.counters()).toEqual({});
    vi.advanceTimersByTime(5000);
    expect(calls.refresh).not.toHaveBeenCalled();
  });

  test.each([
    ["nothing", { unacknowledged: 0, unanswered: 0 }, 0],
    ["the other ends' FIN", { unacknowledged: 0, unanswered: 2 }, 250],
    ["acknowledgements", { unacknowledged: 1, unanswered: 2 }, 2000],
  ])(
    "waits for %s of sockets that were parked, and no longer than is worth it",
    async (_what, words, longest) => {
      calls = { ...calls, lastWords: () => words };
      let closed = false;
      void open()
        .close()
        .then(() => (closed = true));
      await vi.advanceTimersByTimeAsync(Math.max(0, longest - 50));
      expect(closed).toBe(longest === 0);
      await vi.advanceTimersByTimeAsync(100);
      expect(closed).toBe(true);
    },
  );

  test("goes as soon as the kernel has said all for them", async () => {
    const words = [
      { unacknowledged: 2, unanswered: 0 },
      { unacknowledged: 0, unanswered: 1 },
    ];
    calls = { ...calls, lastWords: () => words.shift() ?? { unacknowledged: 0, unanswered: 0 } };
    const closed = open().close();
    await vi.advanceTimersByTimeAsync(100);
    expect(calls.close).toHaveBeenCalledTimes(1);
    await closed;
  });
});

describe("the planner", () => {
  const plain: RouteFacts = {
    engine: "auto",
    forward: "auto",
    setsRequestHeaders: false,
    changesResponses: false,
    matchesBeyondKernel: false,
    forwarded: false,
    choosesBy: "load",
    countsPlaces: false,
    proxyHeader: false,
  };

  test.each([
    [{}, "connection", "packet", /nothing is cheaper/],
    [{ engine: "packet" }, "connection", "packet", /nothing is cheaper/],
    [{ choosesBy: "target" }, "connection", "packet", /nothing is cheaper/],
    [{ forward: "exchange" }, "exchange", "packet", /configured/],
    [{ forward: "request" }, "request", "packet", /configured/],
    [{ setsRequestHeaders: true }, "request", "packet", /request headers/],
    [{ forward: "connection", setsRequestHeaders: true }, "request", "packet", /request headers/],
    [{ matchesBeyondKernel: true }, "request", "packet", /regular expression/],
    [{ forwarded: true }, "request", "packet", /forwarded/],
    [{ countsPlaces: true }, "exchange", "packet", /maxConnections/],
    [{ choosesBy: "request" }, "request", "packet", /policy/],
    [{ readsResponses: true }, "exchange", "packet", /responses tell/],
    [{ readsResponses: true, forward: "connection" }, "connection", "packet", /nothing is cheaper/],
    [{ changesResponses: true, forwarded: true }, "exchange", "packet", /response headers/],
    [{ proxyHeader: true }, "exchange", "packet", /PROXY/],
    [{ engine: "copy" }, "exchange", "copy", /engine: copy/],
    [{ engine: "copy", forward: "connection" }, "exchange", "copy", /engine: copy/],
    [{ engine: "pipe" }, "exchange", "pipe", /engine: pipe/],
    [{ packetObstacle: "packet: not permitted" }, "exchange", "copy", /not permitted/],
  ] as const)("takes for %j: %s by %s", (facts, forward, engine, why) => {
    const planned = planRoute({ ...plain, ...facts });
    expect([planned.forward, planned.engine]).toEqual([forward, engine]);
    expect(planned.why).toMatch(why);
  });
});

test.each(["exchange", "request", "connection"] as const)(
  "native code is told to forward by %s",
  (forward) => {
    const none = {
      setRequestHeaders: [],
      removeRequestHeaders: [],
      setResponseHeaders: [],
      removeResponseHeaders: [],
    };
    const route = { match: {}, pool: "web", label: "*", ...none };
    expect(compileRoute(route, { poolIndex: () => 0, routeId: () => 0, forward }).forward).toBe(forward);
  },
);

test("a worker's links and fallbacks get the names that metrics have", () => {
  const histogram = { bounds: [1], counts: [0, 0], sum: 0 };
  const stats: NativeStats = {
    requests: [],
    listeners: [],
    copyBytesDownstream: 1,
    copyBytesUpstream: 2,
    pipeBytesDownstream: 11,
    pipeBytesUpstream: 12,
    sockmapBytesDownstream: 14,
    sockmapBytesUpstream: 15,
    packetBytesDownstream: 3,
    packetBytesUpstream: 4,
    packetFallbacks: { mss: 5 },
    bodyFallbacks: { pool: 13 },
    links: { active: 6, finished: 7, reset: 8, idle: 9, cut: 10, resumed: 11 },
    records: { free: 12, ended: 13 },
    retries: { connect: 14 },
    retriesRefused: 15,
    idleUpstream: 0,
    requestSeconds: histogram,
    decisionSeconds: histogram,
  };
  const named = nameCounters(stats, [], new Names(), "pipe");
  expect(named.bytes).toEqual([
    { engine: "copy", direction: "downstream", count: 1 },
    { engine: "copy", direction: "upstream", count: 2 },
    { engine: "pipe", direction: "downstream", count: 11 },
    { engine: "pipe", direction: "upstream", count: 12 },
    { engine: "sockmap", direction: "downstream", count: 14 },
    { engine: "sockmap", direction: "upstream", count: 15 },
    { engine: "packet", direction: "downstream", count: 3 },
    { engine: "packet", direction: "upstream", count: 4 },
  ]);
  expect(named.fallbacks).toEqual([
    { from: "packet", to: "copy", reason: "mss", count: 5 },
    { from: "pipe", to: "copy", reason: "pool", count: 13 },
  ]);
  expect(named.retries).toEqual([{ reason: "connect", count: 14 }]);
  expect(named.retriesRefused).toBe(15);
  expect(named.linksActive).toBe(6);
  expect(named.records).toEqual({ free: 12, ended: 13 });
  expect(named.linksEnded).toEqual([
    { end: "finished", count: 7 },
    { end: "reset", count: 8 },
    { end: "idle", count: 9 },
    { end: "cut", count: 10 },
    { end: "resumed", count: 11 },
  ]);
});
