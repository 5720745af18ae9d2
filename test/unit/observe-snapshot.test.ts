import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RateWindow } from "../../src/observe/rates.js";
import type { HistogramSnapshot, WorkerSnapshot } from "../../src/observe/snapshot.js";
import { histogramSince, mergeSnapshots, quantile, readSnapshot } from "../../src/observe/snapshot.js";

const bounds = [0.001, 0.01, 0.1];

function histogram(...counts: [number, number, number, number]): HistogramSnapshot {
  return { bounds, counts, sum: 1, count: counts.reduce((a, b) => a + b) };
}

function snapshot(changes: Partial<WorkerSnapshot> = {}): WorkerSnapshot {
  return { ...mergeSnapshots([]), ...changes };
}

const row = (code: number, count: number, backend = "b:1") => ({
  route: "*",
  pool: "api",
  backend,
  code,
  count,
});

describe("mergeSnapshots", () => {
  it("adds rows with equal labels and keeps the others", () => {
    const merged = mergeSnapshots([
      snapshot({
        requests: [row(200, 3), row(502, 1)],
        idleUpstream: 2,
        logDropped: 1,
        linksActive: 4,
        records: { free: 2, ended: 20 },
      }),
      snapshot({
        requests: [row(200, 4), row(200, 5, "b:2")],
        idleUpstream: 3,
        linksActive: 5,
        records: { free: 3, ended: 30 },
      }),
    ]);
    expect(merged.requests).toEqual([row(200, 7), row(502, 1), row(200, 5, "b:2")]);
    expect(merged).toMatchObject({
      idleUpstream: 5,
      logDropped: 1,
      linksActive: 9,
      records: { free: 5, ended: 50 },
    });
  });

  it("adds links that ended alike", () => {
    const ended = (end: string, count: number) => snapshot({ linksEnded: [{ end, count }] });
    const merged = mergeSnapshots([ended("idle", 1), ended("reset", 2), ended("idle", 3)]);
    expect(merged.linksEnded).toEqual([
      { end: "idle", count: 4 },
      { end: "reset", count: 2 },
    ]);
  });

  it("adds the connections of a listener", () => {
    const listener = (accepted: number, active: number) => ({ address: "127.0.0.1:80", accepted, active });
    const merged = mergeSnapshots([
      snapshot({ listeners: [listener(5, 1)] }),
      snapshot({ listeners: [listener(7, 2)] }),
    ]);
    expect(merged.listeners).toEqual([listener(12, 3)]);
  });

  it("adds histograms bucket by bucket, and refuses different buckets", () => {
    const one = snapshot({ requestSeconds: histogram(1, 2, 3, 4) });
    expect(mergeSnapshots([one, snapshot(), one]).requestSeconds).toEqual({
      bounds,
      counts: [2, 4, 6, 8],
      sum: 2,
      count: 20,
    });
    const other = snapshot({ requestSeconds: { bounds: [1], counts: [1, 0], sum: 1, count: 1 } });
    expect(() => mergeSnapshots([one, other])).toThrow(RangeError);
  });
});

describe("readSnapshot", () => {
  it("fails when a worker does not answer, and leaves no timer behind when one does", async () => {
    const silent = {
      snapshot: () => new Promise<never>(() => {}),
      backends: () => [],
      logDropped: () => 0,
      discovery: () => [],
      packetCounters: () => ({}),
    };
    await expect(readSnapshot(silent, 20)).rejects.toThrow("within 20 ms");
    const before = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    await readSnapshot({ ...silent, snapshot: async () => [] }, 60_000);
    expect(process.getActiveResourcesInfo().filter((name) => name === "Timeout")).toHaveLength(before);
  });
});

describe("quantile", () => {
  it("interpolates inside the bucket", () => {
    expect(quantile(histogram(0, 10, 0, 0), 0.5)).toBeCloseTo(0.001 + 0.009 / 2);
    expect(quantile(histogram(10, 0, 0, 0), 1)).toBeCloseTo(0.001);
  });

  it("answers the last bound above it and nothing without observations", () => {
    expect(quantile(histogram(0, 0, 0, 3), 0.5)).toBe(0.1);
    expect(quantile(histogram(0, 0, 0, 0), 0.5)).toBeNull();
  });

  it("lies in the bucket that holds the rank, and never falls when q rises", () => {
    const count = fc.nat({ max: 1000 });
    const share = fc.double({ min: 0.01, max: 1, noNaN: true });
    fc.assert(
      fc.property(count, count, count, count, share, (a, b, c, d, q) => {
        fc.pre(a + b + c + d > 0);
        const h = histogram(a, b, c, d);
        const value = quantile(h, q) as number;
        const bucket = [a, a + b, a + b + c, h.count].findIndex((cumulative) => cumulative >= q * h.count);
        expect(value).toBeGreaterThanOrEqual(bounds[Math.min(bucket, bounds.length) - 1] ?? 0);
        expect(value).toBeLessThanOrEqual(bounds[bucket] ?? 0.1);
        expect(quantile(h, q / 2)).toBeLessThanOrEqual(value);
      }),
    );
  });
});

describe("histogramSince", () => {
  it("gives what came in between", () => {
    expect(histogramSince(histogram(5, 5, 5, 5), histogram(1, 2, 3, 4)).counts).toEqual([4, 3, 2, 1]);
  });

  it("never gives negative counts", () => {
    expect(histogramSince(histogram(1, 1, 1, 1), histogram(2, 0, 2, 0)).counts).toEqual([0, 1, 0, 1]);
  });
});

describe("RateWindow", () => {
  const at = (requests: number, errors: number, change: Partial<WorkerSnapshot> = {}): WorkerSnapshot =>
    snapshot({ requests: [row(200, requests), row(503, errors)], ...change });

  it("has no rates before the second sample", () => {
    const window = new RateWindow(1000);
    expect(window.rates()).toMatchObject({ windowSeconds: 0, requests: 0, latencyMs: { p50: null } });
    window.push(at(100, 1), 5000);
    expect(window.rates()).toMatchObject({ windowSeconds: 0, requests: 0 });
  });

  it("counts per second, by class, route and backend", () => {
    const window = new RateWindow(1000);
    window.push(at(100, 0), 1000);
    window.push(at(300, 50, { requestSeconds: histogram(0, 10, 0, 0) }), 3000);
    expect(window.rates()).toMatchObject({
      windowSeconds: 2,
      requests: 125,
      errors: 25,
      byClass: { "2xx": 100, "5xx": 25 },
    });
    expect(window.rates().latencyMs.p50).toBeCloseTo(5.5);
    expect(window.ofRoute("*")).toBe(125);
    expect(window.ofBackend("api", "b:1")).toBe(125);
    expect(window.ofBackend("api", "unknown")).toBe(0);
  });

  it("forgets what is older than ten seconds but keeps the history of two minutes", () => {
    const window = new RateWindow(1000);
    for (let second = 0; second <= 200; second++)
      window.push(at(second < 100 ? 0 : second * 10, 0), second * 1000);
    expect(window.rates()).toMatchObject({ windowSeconds: 10, requests: 10 });
    const { requests } = window.history();
    expect(requests).toHaveLength(120);
    expect(requests.at(-1)).toBe(10);
    expect(requests.slice(0, 19)).toEqual(Array(19).fill(0));
  });

  it("shows no negative rate when a counter fell", () => {
    const window = new RateWindow(1000);
    window.push(at(500, 0), 1000);
    window.push(at(20, 0), 2000);
    expect(window.rates().requests).toBe(0);
  });
});
