import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { failureOfPhase } from "../../bench/scenarios/surge.js";
import { Cache } from "../../bench/surge/cache.js";
import { barPlot, linearTicks, timePlot } from "../../bench/surge/plots.js";
import { readMillis, Station } from "../../bench/surge/station.js";
import { Tally } from "../../bench/surge/tally.js";

test("a cache throws out what was used least recently, until the new one fits", () => {
  const cache = new Cache(100);
  cache.add("a", 40);
  cache.add("b", 40);
  expect(cache.touch("a")).toBe(true);
  cache.add("c", 30);
  expect(["a", "b", "c"].map((key) => cache.touch(key))).toEqual([true, false, true]);
  cache.add("d", 100);
  expect(["a", "c", "d"].map((key) => cache.touch(key))).toEqual([false, false, true]);
});

test("what is larger than the cache does not empty it", () => {
  const cache = new Cache(100);
  cache.add("a", 40);
  cache.add("huge", 101);
  expect([cache.touch("a"), cache.touch("huge")]).toEqual([true, false]);
  cache.clear();
  expect(cache.touch("a")).toBe(false);
  cache.add("b", 100);
  expect(cache.touch("b")).toBe(true);
});

test("a station works on one thing at a time, and slower when others have a share of it", async () => {
  const station = new Station();
  const started = performance.now();
  const finished: number[] = [];
  const work = (millis: number) =>
    station.work(millis).then(() => finished.push(performance.now() - started));
  const both = [work(20), work(20)];
  station.taken = 0.75;
  await Promise.all([...both, work(10)]);
  const [first = 0, second = 0, third = 0] = finished;
  // Timers are late at times, but never early by more than their millisecond.
  expect(first).toBeGreaterThan(18);
  expect(second).toBeGreaterThan(38);
  expect(third).toBeGreaterThan(78);
  expect(station.busyMillis()).toBeGreaterThan(78);
  expect(() => {
    station.taken = 1;
  }).toThrow(RangeError);
});

test("a station is busy only while it works", async () => {
  const station = new Station();
  const done = station.work(50);
  expect(station.busyMillis()).toBeLessThan(25);
  await done;
  await sleep(30);
  expect(station.busyMillis()).toBe(50);
});

test("a reading costs what it does in the simulations of LARD", () => {
  expect(readMillis(1)).toBeCloseTo(28.41);
  expect(readMillis(45_056)).toBeCloseTo(28 + 11 * 0.41);
  expect(readMillis(45_057)).toBeCloseTo(28 + 12 * 0.41 + 14);
});

test("a tally has the figures of the answers, by origin and second", () => {
  const tally = new Tally(3);
  tally.add({ millis: 10, bytes: 100, origin: 0, hit: true });
  tally.add({ millis: 30, bytes: 50, origin: 2, hit: false });
  expect(tally.report()).toMatchObject({
    requests: 2,
    bytes: 150,
    hits: 1,
    delay: { mean: 20, variance: 100, p50: 20 },
    bySecond: [[1, 0, 1]],
    errors: {},
  });
  expect(failureOfPhase(tally.report())).toBeNull();
  tally.fail("status 503");
  tally.fail("status 503");
  expect(failureOfPhase(tally.report())).toBe("2 x status 503");
  expect(failureOfPhase(new Tally(1).report())).toBe("no request was answered");
});

test("linear ticks are round and reach the highest value", () => {
  expect(linearTicks(5624)).toEqual([0, 2000, 4000, 6000]);
  expect(linearTicks(83)).toEqual([0, 20, 40, 60, 80, 100]);
});

const text = { title: "a < b", subtitle: "s", xLabel: "x", yLabel: "y" };

test("a bar plot has a bar, a value and a note for each", () => {
  const bar = { label: "lard", note: "97 % hits", value: 900, q1: 800, q3: 950 };
  const svg = barPlot(text, [bar, { ...bar, label: "random", value: 450, q1: 450, q3: 450 }]);
  expect(svg).toContain("a &lt; b");
  expect(svg.match(/class="bar rate"/g)).toHaveLength(3); // one is the legend's
  expect(svg).toContain(">900</text>");
  const heights = [...svg.matchAll(/bar rate" .*?height="([\d.]+)"/g)]
    .slice(1)
    .map(([, height]) => Number(height));
  expect((heights[0] ?? 0) / (heights[1] ?? 1)).toBeCloseTo(2, 1);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
});

test("a time plot has a line for each series, one legend for those of a kind, and the span", () => {
  const svg = timePlot(
    text,
    [
      { kind: "usual", values: [1, 2, 3] },
      { kind: "usual", values: [1, 1, 1] },
      { kind: "special", values: [3, 0, 3] },
    ],
    { usual: "others", special: "loaded" },
    { from: 1, to: 2, label: "extra" },
  );
  expect(svg.match(/<polyline class="usual line"/g)).toHaveLength(2);
  expect(svg.match(/>others</g)).toHaveLength(1);
  expect(svg).toContain('class="axis one" x1="298.7"');
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
});
