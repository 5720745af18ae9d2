/** How backends come back, are advised and are watched. */
import { describe, expect, it, vi } from "vitest";
import type { Advice, OutlierRules, PoolSpec } from "../../src/pools/index.js";
import { CHECK, down, events, health, pool, pools, start, table, usePools } from "./pools-support.js";

usePools();

describe("a slow start", () => {
  const weights = () => pools.backends().map(({ slot }) => table.read(slot, "weight"));
  const percents = () => pools.backends().map(({ weightPercent }) => weightPercent);
  const specs = [pool("a", [1, 2], { health: CHECK, slowStart: 10_000 })];

  it("is not for those that are there from the start", async () => {
    start(...specs);
    await vi.advanceTimersByTimeAsync(1500);
    expect([weights(), percents()]).toEqual([
      [100, 100],
      [100, 100],
    ]);
  });

  it("gives a backend that comes back little at first, and its whole weight in the end", async () => {
    start(...specs);
    down.add("10.0.0.1:2");
    await vi.advanceTimersByTimeAsync(2500);
    down.clear();
    await vi.advanceTimersByTimeAsync(1000);
    expect(health()["10.0.0.1:2"]).toBe("healthy");
    expect([weights(), percents()]).toEqual([
      [100, 10],
      [100, 10],
    ]);
    expect(pools.backends()[1]?.weight).toBe(1);
    const seen = new Set<number>();
    for (let i = 0; i < 40; i++) {
      await vi.advanceTimersByTimeAsync(250);
      seen.add(percents()[1] as number);
    }
    expect([...seen]).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    expect(weights()).toEqual([100, 100]);
    // Nothing is left to do but the checks.
    expect(vi.getTimerCount()).toBe(2);
  });

  it("goes on over a reload, and begins after a drain and for what a reload adds", async () => {
    start(...specs);
    await vi.advanceTimersByTimeAsync(1500);
    pools.drain("a", "10.0.0.1:1");
    expect(percents()).toEqual([100, 100]);
    pools.enable("a", "10.0.0.1:1");
    expect(percents()).toEqual([10, 100]);
    await vi.advanceTimersByTimeAsync(5000);
    pools.apply([pool("a", [1, 2, 3], { health: CHECK, slowStart: 10_000 })]);
    expect(percents()).toEqual([60, 100, 10]);
    pools.drain("a", "10.0.0.1:3");
    expect(percents()).toEqual([60, 100, 100]);
    pools.apply([pool("a", [1, 2, 3], { health: CHECK })]);
    expect(percents()).toEqual([100, 100, 100]);
  });

  it("multiplies with what is advised of a weight", async () => {
    start(...specs);
    pools.advise("a", "10.0.0.1:1", { weight: 0.5, reason: "" });
    expect(weights()).toEqual([50, 100]);
    pools.drain("a", "10.0.0.1:1");
    pools.enable("a", "10.0.0.1:1");
    expect(weights()).toEqual([5, 100]);
    pools.advise("a", "10.0.0.1:1", { weight: 7, reason: "" });
    expect(weights()).toEqual([10, 100]);
    pools.advise("a", "10.0.0.1:2", { weight: -1, reason: "" });
    expect(weights()).toEqual([10, 0]);
    pools.advise("a", "nobody", { weight: 0.5, reason: "" });
  });

  it("changes the scale of weights at most once, whatever comes and goes", () => {
    start(pool("a", [1, 2]));
    expect(weights()).toEqual([1, 1]);
    pools.advise("a", "10.0.0.1:1", { weight: 0.5, reason: "" });
    expect(weights()).toEqual([50, 100]);
    pools.advise("a", "10.0.0.1:1", { reason: "" });
    expect(weights()).toEqual([100, 100]);
    pools.apply([pool("a", [1, 2, 3])]);
    expect(weights()).toEqual([100, 100, 100]);
  });
});

describe("advice", () => {
  const address = "10.0.0.1:1";
  const advise = (advice: Partial<Advice>) => pools.advise("a", address, { reason: "agent", ...advice });

  it("takes a backend out and brings it back, beside checks and orders", async () => {
    start(pool("a", [1], { health: CHECK }));
    await vi.advanceTimersByTimeAsync(1000);
    advise({ state: "drain" });
    expect([health()[address], table.read(0, "health"), table.read(0, "eligible")]).toEqual([
      "draining",
      3,
      0,
    ]);
    expect(pools.enable("a", address)?.health).toBe("draining");
    advise({ state: "down" });
    expect([health()[address], table.read(0, "health"), table.read(0, "eligible")]).toEqual([
      "unhealthy",
      2,
      0,
    ]);
    pools.drain("a", address);
    advise({});
    expect(health()[address]).toBe("draining");
    expect(pools.enable("a", address)?.health).toBe("healthy");
    expect(events.map(({ to, reason }) => [to, reason])).toEqual([
      ["healthy", "status 200"],
      ["draining", "agent"],
      ["unhealthy", "agent"],
      ["draining", "ordered"],
      ["healthy", "ordered"],
    ]);
  });

  it("lowers the limit of connections, never raises it, and holds over a reload", () => {
    const limit = () => table.read(0, "maxConnections");
    start(pool("a", [1], { maxConnections: 10 }));
    advise({ maxConnections: 3 });
    expect(limit()).toBe(3);
    advise({ maxConnections: 30 });
    expect(limit()).toBe(10);
    pools.apply([pool("a", [1])]);
    expect(limit()).toBe(30);
    advise({});
    expect(limit()).toBe(0);
  });
});

describe("conduct", () => {
  const OUTLIERS: OutlierRules = {
    consecutiveFailures: 5,
    failuresFrom: 502,
    interval: 10_000,
    successRateFactor: 0,
    latencyFactor: 0,
    minBackends: 5,
    minRequests: 100,
    ejection: 2000,
    maxEjection: 60_000,
    panicThreshold: 50,
  };
  const watched = (change: Partial<PoolSpec> = {}) => pool("a", [1, 2], { outliers: OUTLIERS, ...change });
  const fail = (slot: number) => table.write(slot, "longestRun", 5);

  it("is counted by the data plane where it is asked for", () => {
    start(watched(), pool("b", [1]));
    expect([0, 1, 2].map((slot) => table.read(slot, "failuresFrom"))).toEqual([502, 502, 0]);
    pools.apply([pool("a", [1, 2])]);
    expect(table.read(0, "failuresFrom")).toBe(0);
  });

  it("takes a backend out and brings it back slowly, and says so", async () => {
    start(watched({ slowStart: 10_000 }));
    fail(1);
    await vi.advanceTimersByTimeAsync(250);
    expect(pools.backends()[1]).toMatchObject({
      health: "unhealthy",
      eligible: false,
      reason: "ejected: 5 failures in a row",
      ejections: { failures: 1 },
    });
    // Links to it are not cut, as they are if its checks fail: it answers what it was asked.
    expect([table.read(1, "eligible"), table.read(1, "health")]).toEqual([0, 0]);
    await vi.advanceTimersByTimeAsync(2000);
    expect(pools.backends()[1]).toMatchObject({ health: "unknown", eligible: true, weightPercent: 10 });
    expect(events.map(({ from, to, reason }) => [from, to, reason])).toEqual([
      ["unknown", "unhealthy", "ejected: 5 failures in a row"],
      ["unhealthy", "unknown", "ejection is over"],
    ]);
  });

  it("is one thing, checks are another: both have to be good", async () => {
    start(watched({ health: CHECK }));
    await vi.advanceTimersByTimeAsync(1000);
    fail(1);
    down.add("10.0.0.1:2");
    await vi.advanceTimersByTimeAsync(2000);
    expect([table.read(1, "eligible"), table.read(1, "health")]).toEqual([0, 2]);
    await vi.advanceTimersByTimeAsync(2000);
    expect(health()["10.0.0.1:2"]).toBe("unhealthy");
    down.clear();
    await vi.advanceTimersByTimeAsync(1000);
    expect(health()["10.0.0.1:2"]).toBe("healthy");
  });

  it("says what keeps a backend out when that is something else than before", async () => {
    const reason = () => pools.backends()[1]?.reason;
    start(watched({ health: CHECK }));
    await vi.advanceTimersByTimeAsync(1000);
    fail(1);
    down.add("10.0.0.1:2");
    await vi.advanceTimersByTimeAsync(250);
    expect(reason()).toBe("ejected: 5 failures in a row");
    await vi.advanceTimersByTimeAsync(5000);
    expect(reason()).toBe("refused");
    pools.advise("a", "10.0.0.1:2", { state: "down", reason: "agent: down: disk" });
    pools.drain("a", "10.0.0.1:2");
    expect(reason()).toBe("ordered");
    pools.enable("a", "10.0.0.1:2");
    expect(reason()).toBe("refused");
    down.clear();
    await vi.advanceTimersByTimeAsync(1000);
    expect(reason()).toBe("agent: down: disk");
    pools.advise("a", "10.0.0.1:2", { state: "down", reason: "agent: down: memory" });
    expect(reason()).toBe("agent: down: memory");
    pools.advise("a", "10.0.0.1:2", { reason: "agent: up" });
    expect([reason(), health()["10.0.0.1:2"]]).toEqual(["agent: up", "healthy"]);
  });

  it("never leaves less than the threshold, whatever checks do", async () => {
    start(watched({ health: CHECK, outliers: { ...OUTLIERS, ejection: 60_000 } }));
    fail(0);
    fail(1);
    await vi.advanceTimersByTimeAsync(250);
    expect(pools.backends().map(({ eligible }) => eligible)).toEqual([false, true]);
    down.add("10.0.0.1:2");
    await vi.advanceTimersByTimeAsync(2500);
    expect(pools.backends().map(({ eligible }) => eligible)).toEqual([true, false]);
    down.add("10.0.0.1:1");
    await vi.advanceTimersByTimeAsync(2500);
    expect(pools.backends().map(({ eligible }) => eligible)).toEqual([false, false]);
  });

  it("is remembered over a reload, unless nobody watches any more", async () => {
    start(watched());
    fail(1);
    await vi.advanceTimersByTimeAsync(250);
    pools.apply([watched()]);
    expect(health()["10.0.0.1:2"]).toBe("unhealthy");
    pools.apply([pool("a", [1, 2])]);
    expect(health()["10.0.0.1:2"]).toBe("unknown");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("is compared also where backends come and go more often than that", async () => {
    const rules = { ...OUTLIERS, latencyFactor: 1, minBackends: 3, minRequests: 1, ejection: 60_000 };
    const of = (ports: number[], change = {}) => pool("a", ports, { outliers: { ...rules, ...change } });
    const serve = () => {
      for (const slot of [0, 1, 2]) {
        table.write(slot, "successes", table.read(slot, "successes") + 5);
        table.write(slot, "ewmaMicros", slot === 2 ? 90_000 : 1000);
      }
    };
    start(of([1, 2, 3]));
    for (let i = 0; i < 3; i++) {
      await vi.advanceTimersByTimeAsync(3000);
      pools.apply([of([1, 2, 3, 4 + i])]);
    }
    serve();
    await vi.advanceTimersByTimeAsync(1000);
    expect(health()["10.0.0.1:3"]).toBe("unhealthy");
  });

  it("of a draining backend does not matter", async () => {
    start(watched());
    fail(1);
    await vi.advanceTimersByTimeAsync(250);
    pools.drain("a", "10.0.0.1:2");
    expect(health()["10.0.0.1:2"]).toBe("draining");
    fail(1);
    await vi.advanceTimersByTimeAsync(500);
    expect(pools.enable("a", "10.0.0.1:2")).toMatchObject({ health: "unknown", eligible: true });
    await vi.advanceTimersByTimeAsync(500);
    expect(health()["10.0.0.1:2"]).toBe("unknown");
  });
});
