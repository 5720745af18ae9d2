import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { NativeStats, PacketInterfaces } from "../../src/dataplane/index.js";
import { planRoute } from "../../src/dataplane/planner.js";
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
      close: vi.fn(),
    };
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("is opened for all workers where the configuration names it, and nowhere else", () => {
    for (const engine of ["auto", "copy"] as const) {
      expect(PacketEngine.open({ ...config, engine }, logger, calls)).toBeNull();
    }
    expect(calls.open).not.toHaveBeenCalled();
    void PacketEngine.open(config, logger, calls)!.close();
    expect(vi.mocked(calls.open).mock.calls).toEqual([[{ interfaces: ["lo", "eth0"], workers: 3 }]]);
    expect(logged).toMatchObject([{ msg: "packet engine attached", hooks: "tcx", interfaces: ["lo"] }]);
  });

  test("looks for interfaces every second, and says what changed and what went wrong, once", () => {
    const engine = PacketEngine.open(config, logger, calls)!;
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
    const engine = PacketEngine.open(config, logger, calls)!;
    expect(engine.counters()).toEqual({ spliced: 4 });
    const closed = [engine.close(), engine.close()];
    // The last words of sockets that were parked have to be translated, too.
    await vi.advanceTimersByTimeAsync(200);
    expect(calls.close).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(100);
    await Promise.all(closed);
    expect(calls.close).toHaveBeenCalledTimes(1);
    expect(engine.counters()).toEqual({});
    vi.advanceTimersByTime(5000);
    expect(calls.refresh).not.toHaveBeenCalled();
  });
});

describe("the planner", () => {
  test.each([
    ["packet", "connection", "connection", "packet"],
    ["packet", "auto", "exchange", "packet"],
    ["packet", "exchange", "exchange", "packet"],
    ["auto", "connection", "exchange", "copy"],
    ["copy", "connection", "exchange", "copy"],
    ["auto", "auto", "exchange", "copy"],
    ["pipe", "auto", "exchange", "pipe"],
    ["pipe", "connection", "exchange", "pipe"],
  ])("takes for engine %s and forward %s: %s by %s", (engine, forward, ...taken) => {
    const planned = planRoute({ engine, forward });
    expect([planned.forward, planned.engine]).toEqual(taken);
  });
});

test.each([
  ["connection", true],
  ["exchange", false],
  ["auto", false],
] as const)("a route that forwards by %s asks native code for links: %s", (forward, asked) => {
  const none = {
    setRequestHeaders: [],
    removeRequestHeaders: [],
    setResponseHeaders: [],
    removeResponseHeaders: [],
  };
  const route = { match: {}, pool: "web", label: "*", forward, ...none };
  const compiled = compileRoute(route, { poolIndex: () => 0, routeId: () => 0 });
  expect(compiled.forwardConnection).toBe(asked);
});

test("a worker's links and fallbacks get the names that metrics have", () => {
  const histogram = { bounds: [1], counts: [0, 0], sum: 0 };
  const stats: NativeStats = {
    requests: [],
    listeners: [],
    copyBytesDownstream: 1,
    copyBytesUpstream: 2,
    pipeBytesDownstream: 11,
    pipeBytesUpstream: 12,
    packetBytesDownstream: 3,
    packetBytesUpstream: 4,
    packetFallbacks: { mss: 5 },
    pipeFallbacks: { pool: 13 },
    links: { active: 6, finished: 7, reset: 8, idle: 9, cut: 10, resumed: 11 },
    records: { free: 12, ended: 13 },
    retries: 0,
    idleUpstream: 0,
    requestSeconds: histogram,
    decisionSeconds: histogram,
  };
  const named = nameCounters(stats, [], new Names());
  expect(named.bytes).toEqual([
    { engine: "copy", direction: "downstream", count: 1 },
    { engine: "copy", direction: "upstream", count: 2 },
    { engine: "pipe", direction: "downstream", count: 11 },
    { engine: "pipe", direction: "upstream", count: 12 },
    { engine: "packet", direction: "downstream", count: 3 },
    { engine: "packet", direction: "upstream", count: 4 },
  ]);
  expect(named.fallbacks).toEqual([
    { from: "packet", to: "copy", reason: "mss", count: 5 },
    { from: "pipe", to: "copy", reason: "pool", count: 13 },
  ]);
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
