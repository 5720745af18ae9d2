import { describe, expect, it } from "vitest";
import { GreedyDualSize } from "../../bench/lard/cache.js";
import {
  expectations,
  experiments,
  fullScale,
  quickScale,
  riceCoverage,
  riceLike,
} from "../../bench/lard/experiments.js";
import { linearTicks } from "../../bench/lard/plot.js";
import { type Outcome, type Setup, simulate } from "../../bench/lard/simulate.js";
import type { StrategyName } from "../../bench/lard/strategies.js";
import { coveringBytes, makeWorkload, type Workload } from "../../bench/lard/workload.js";

const KB = 1000;
const MB = 1e6;

/** The cluster of the paper, with caches for a tenth of the files. */
const setup = (nodes: number, strategy: StrategyName, more: Partial<Setup> = {}): Setup => ({
  nodes,
  strategy,
  cacheBytes: 3.2 * MB,
  cpuSpeed: 1,
  low: 25,
  high: 65,
  warmUp: 20_000,
  ...more,
});

const small = { ...riceLike, files: 3770, totalBytes: 142 * MB, requests: 40_000 };

const rate = (workload: Workload, nodes: number, strategy: StrategyName) =>
  simulate(setup(nodes, strategy), workload).requestsPerSecond;

describe("the simulation of LARD", () => {
  const workload = makeWorkload(small);

  it("has LARD serve at least twice what round robin does, with 8 nodes and a set larger than a cache", () => {
    const plain = rate(workload, 8, "round-robin");
    expect(rate(workload, 8, "lard") / plain).toBeGreaterThan(2);
    expect(rate(workload, 8, "lard-replicated") / plain).toBeGreaterThan(2);
  });

  it("has all serve the same with one node, and about the same if the set fits", () => {
    expect(rate(workload, 1, "lard")).toBe(rate(workload, 1, "round-robin"));
    const fitting = makeWorkload({ ...small, files: 40, totalBytes: 1.6 * MB });
    const ratio = rate(fitting, 8, "lard") / rate(fitting, 8, "round-robin");
    expect(Math.abs(ratio - 1)).toBeLessThan(0.1);
  });

  it("has replicas of a hot target serve more than one that moves about, if the nodes are fast and it is all in their caches", () => {
    const hot = makeWorkload({ ...small, files: 400, totalBytes: 15 * MB, hotShare: 0.1 });
    const run = (strategy: StrategyName) => simulate(setup(16, strategy, { cpuSpeed: 4 }), hot);
    const [moving, replicated] = [run("lard"), run("lard-replicated")];
    expect(replicated.requestsPerSecond / moving.requestsPerSecond).toBeGreaterThan(1.1);
    // Each time that a target moves it is read again.
    expect(replicated.missRatio).toBeLessThan(moving.missRatio / 5);
  });

  it("comes out the same each time", () => {
    const once = simulate(setup(4, "lard-replicated"), workload);
    expect(simulate(setup(4, "lard-replicated"), workload)).toEqual(once);
  });

  it("takes as long as the paper says for a cached file of 8 KB", () => {
    const one = { sizes: Int32Array.of(8192), trace: new Int32Array(5000) };
    const outcome = simulate(setup(1, "round-robin", { warmUp: 1000 }), one);
    // 145 us to set up, 16 times 40 us to send, 145 us to tear down.
    expect(outcome.requestsPerSecond * 930e-6).toBeCloseTo(1, 2);
    expect(outcome.missRatio).toBe(0);
  });

  it("takes as long as the paper says for files that come from the disk", () => {
    // Each file once, and 100 KB: three blocks, so one seek and two more, and 25 times 4 KiB.
    const files = 2000;
    const each = {
      sizes: new Int32Array(files).fill(100 * KB),
      trace: Int32Array.from({ length: files }, (_, file) => file),
    };
    const outcome = simulate(setup(1, "round-robin", { warmUp: 1000 }), each);
    const seconds = (28_000 + 2 * 14_000 + 25 * 410) / 1e6;
    // At the end some of the files that are being read were not yet read to the end.
    expect(Math.abs(outcome.requestsPerSecond * seconds - 1)).toBeLessThan(0.01);
    expect(outcome.missRatio).toBe(1);
  });

  it("refuses a trace that is over before it began", () => {
    expect(() => simulate(setup(8, "lard", { warmUp: 39_900 }), workload)).toThrow(RangeError);
  });
});

describe("the Rice-like set", () => {
  it("has the size of Rice's, and is about as concentrated", () => {
    const shape = { ...riceLike, requests: 1 };
    const { sizes } = makeWorkload(shape);
    expect(sizes.length).toBe(37_703);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    expect(total / 1418e6).toBeCloseTo(1, 3);
    for (const { share, megabytes } of riceCoverage) {
      const ratio = coveringBytes(shape, sizes, share) / MB / megabytes;
      expect(Math.abs(ratio - 1), `${share}`).toBeLessThan(0.1);
    }
  });

  it("has a hot target with its share of the requests", () => {
    const { sizes, trace } = makeWorkload({ ...small, hotShare: 0.1 });
    expect(sizes.length).toBe(3771);
    const hot = trace.reduce((count, file) => count + (file === 3770 ? 1 : 0), 0);
    expect(hot / trace.length).toBeCloseTo(0.1, 2);
  });
});

describe("Greedy-Dual-Size", () => {
  it("throws out large files first, and those that were not used for long", () => {
    const cache = new GreedyDualSize(100, Int32Array.of(60, 20, 20, 30, 40));
    for (const file of [0, 1, 2]) cache.add(file);
    cache.add(3); // instead of 0, the largest
    expect([0, 1, 2, 3].map((file) => cache.use(file))).toEqual([false, true, true, true]);
    cache.add(4); // 30 are free, and of the others 3 is the largest
    expect([1, 2, 3, 4].map((file) => cache.use(file))).toEqual([true, true, false, true]);
  });

  it("does not take in what is larger than all of it", () => {
    const cache = new GreedyDualSize(100, Int32Array.of(101));
    cache.add(0);
    expect(cache.use(0)).toBe(false);
  });
});

describe("the report of the simulation", () => {
  it("has round numbers on its axes", () => {
    expect(linearTicks(93)).toEqual([0, 20, 40, 60, 80, 100]);
    expect(linearTicks(5800)).toEqual([0, 2000, 4000, 6000]);
    expect(linearTicks(0.4)).toEqual([0, 0.1, 0.2, 0.30000000000000004, 0.4]);
  });

  it("knows each experiment by one name", () => {
    const names = experiments(fullScale).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  describe("of what the paper found", () => {
    /** As if all of a scale had been run, each with this rate. */
    const ran = (scale: typeof fullScale, rate: number) =>
      experiments(scale).map((experiment) => {
        const outcome: Outcome = { requestsPerSecond: rate, missRatio: 0, underused: 0, delayMs: 1 };
        return { experiment, results: experiment.runs.map((run) => ({ run, outcome })) };
      });

    it("compares what a whole run has simulated, all of it", () => {
      const found = expectations(ran(fullScale, 100), false);
      expect(found.map(({ ratio }) => ratio)).toEqual(found.map(() => 1));
      expect(found.map(({ what }) => what.split(":")[0])).toContain("hot, n=8");
    });

    it("counts as missed what has no result, unless it was left out", () => {
      const none = expectations(ran(fullScale, 0), false);
      expect(none.filter(({ met }) => met)).toEqual([]);
      expect(expectations([], false).length).toBe(none.length);
      expect(expectations([], true)).toEqual([]);
      const quick = expectations(ran(quickScale, 100), true).map(({ what }) => what.split(":")[0]);
      expect(quick).toEqual(["rice, n=8", "rice, n=16", "fits, n=8", "hot-fast, n=16"]);
    });
  });
});
