import { expect, test } from "vitest";
import { allCells, cellId, matches, quickCells, sizeText } from "../../bench/cells.js";
import { cpuBetween, parseCpuTimes, parseProcessTimes } from "../../bench/cpu.js";
import { failureOf } from "../../bench/measure.js";
import { parsePlan } from "../../bench/options.js";
import { difference, median, quantile, ratio } from "../../bench/stats.js";
import { fillTemplate } from "../../bench/template.js";

test("quantiles lie between their neighbours", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(quantile([10, 20, 30, 40, 50], 0.25)).toBe(20);
  expect(quantile([0, 10], 0.9)).toBeCloseTo(9);
  expect(median([])).toBeNaN();
});

test("numbers are ordered as numbers", () => {
  expect(median([9, 10, 100])).toBe(10);
});

test("a ratio tells the ratio of medians from that of the rounds", () => {
  // The machine was half as fast in the second round: it moves both medians, but no ratio of a round.
  const result = ratio([100, 50, 120], [50, 25, 60]);
  expect(result).toEqual({ ofMedians: 2, median: 2, q1: 2, q3: 2 });
  expect(ratio([1, 2, 3], [1, 1, 1])).toEqual({ ofMedians: 2, median: 2, q1: 1.5, q3: 2.5 });
});

test("rounds that are not pairs have no ratio", () => {
  expect(() => ratio([1, 2], [1])).toThrow(RangeError);
  expect(() => difference([1, 2], [1])).toThrow(RangeError);
  expect(() => ratio([], [])).toThrow(RangeError);
});

test("a difference is that of the medians, with the quartiles round by round", () => {
  expect(difference([12, 22, 33], [10, 20, 30])).toEqual({ ofMedians: 2, q1: 2, q3: 2.5 });
});

test("an argument for all cells replaces the connections of each", () => {
  const connections = (...args: string[]) =>
    new Set(parsePlan(args, true).cells.map((cell) => cell.connections));
  expect(connections()).toEqual(new Set([16, 32, 64]));
  expect(connections("--connections", "7")).toEqual(new Set([7]));
});

test("without root nothing of the packet engine is planned", () => {
  const [root, user] = [parsePlan([], true), parsePlan([], false)];
  expect(root.targets).toEqual(["direct", "splice", "longsplice", "haproxy", "nginx"]);
  expect(root.scenarios).toEqual(expect.arrayContaining(["links", "link-setup", "modes"]));
  expect(user.targets).toEqual(["direct", "longsplice", "haproxy", "nginx"]);
  expect(user.scenarios).toEqual([
    "workers",
    "idle",
    "decision",
    "decisions",
    "accesslog",
    "pipe",
    "locality",
    "extra-load",
  ]);
});

test("busy time has interrupts in it, but neither waiting nor what the hypervisor took", () => {
  //                  user nice system idle iowait irq softirq steal guest
  const before = parseCpuTimes("cpu  100 200 300 4000 500 60 70 80 90 0\ncpu0 1 1 1 1 1 1 1 1 1 0\n");
  expect(before.busy).toBeCloseTo(7.3);
  expect(before.steal).toBeCloseTo(0.8);
  expect(before.total).toBeCloseTo(53.1);
  const after = parseCpuTimes("cpu  200 200 350 4100 500 60 120 90 90 0\n");
  const delta = cpuBetween(before, after);
  expect(delta.busy).toBeCloseTo(2);
  expect(delta.steal).toBeCloseTo(0.1);
  expect(delta.total).toBeCloseTo(3.1);
});

test("a stat without a sum line is an error", () => {
  expect(() => parseCpuTimes("cpu0 1 2 3\n")).toThrow("/proc/stat");
});

test("a process may have spaces and parentheses in its name", () => {
  const stat = "42 (a (b) c) S 1 77 77 0 -1 0 0 0 0 0 150 50 9 9 20 0 1 0 1 1 1";
  expect(parseProcessTimes(stat)).toEqual({ group: 77, cpu: 2 });
});

const report = {
  seconds: 1,
  requests: 10,
  bytes: 2280,
  p50Micros: 1,
  p99Micros: 1,
  cpuSeconds: null,
  errors: { connect: 0, status: 0 },
};

test("one failed request is enough to refuse a measurement", () => {
  expect(failureOf(report, 128, 1)).toBeNull();
  expect(failureOf({ ...report, errors: { connect: 0, status: 1 } }, 128, 1)).toBe("1 status errors");
});

test("so are answers that are too short, too long, or none", () => {
  expect(failureOf({ ...report, bytes: 1279 }, 128, 1)).toContain("1279 bytes");
  expect(failureOf({ ...report, bytes: 1_000_000 }, 128, 1)).toContain("1000000 bytes");
  expect(failureOf({ ...report, requests: 0 }, 0, 1)).toBe("no request was answered");
});

test("cells have unique names, and a pattern picks by a part or with stars", () => {
  const ids = allCells().map(cellId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.filter((id) => matches(id, "routed*128B"))).toEqual([
    "routed/keep-alive/wrk/native/128B",
    "routed/close/wrk/native/128B",
    "packet/routed/keep-alive/wrk/native/128B",
    "packet/routed/close/wrk/native/128B",
  ]);
  const packet = allCells().filter((cell) => matches(cellId(cell), "packet"));
  expect(packet).toHaveLength(8);
  expect(new Set(packet.map(({ connections }) => connections))).toEqual(new Set([32]));
  expect(matches("a/b", "a.b")).toBe(false);
  expect(quickCells()).toHaveLength(4);
  expect([0, 128, 16_384, 1_048_576].map(sizeText)).toEqual(["0 B", "128 B", "16 KB", "1 MB"]);
});

test("templates repeat lines for lists and miss nothing silently", () => {
  const text = "a {{x}}\n{{#item}}\n- {{item}} {{x}}\n{{/item}}\nend\n";
  expect(fillTemplate(text, { x: 1, item: ["p", "q"] })).toBe("a 1\n- p 1\n- q 1\nend\n");
  expect(() => fillTemplate("{{gone}}", {})).toThrow("gone");
});
