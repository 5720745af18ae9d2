import { expect, test } from "vitest";
import type { TargetName } from "../../bench/cells.js";
import { parseAutocannon, parseWrk } from "../../bench/load/load.js";
import type { Round } from "../../bench/measure.js";
import { histogramOf, metricValue } from "../../bench/metrics.js";
import { logTicks, ratioPlot, shortNumber, throughputPlot } from "../../bench/plot.js";
import { countFailures, markdown, type Results } from "../../bench/report.js";
import { type CellResult, compare, summarize, surchargesOf } from "../../bench/run-cells.js";
import {
  connectionsWithin,
  costOf,
  idleConnectionsWithin,
  parseResident,
} from "../../bench/scenarios/resident.js";
import { verdict } from "../../bench/scenarios/workers.js";
import { growthOf, parsePacketCounts, splicingFailure } from "../../bench/splicing.js";

const round = (requestsPerSecond: number, more: Partial<Round> = {}): Round => ({
  seconds: 1,
  requests: requestsPerSecond,
  bytes: 0,
  p50Micros: 1500,
  p99Micros: 3000,
  cpuSeconds: 0.5,
  errors: {},
  requestsPerSecond,
  cpuMicros: 1e6 / requestsPerSecond,
  cpu: { busy: 1, steal: 0, total: 2, proxy: 0.5, origin: 0.2 },
  packet: null,
  failed: null,
  ...more,
});

function cellOf(size: number, rounds: Partial<Record<TargetName, Round[]>>): CellResult {
  const targets = Object.entries(rounds).map(([name, own]) => summarize(name as TargetName, own));
  return {
    id: `x/${size}`,
    group: "loopback/close/wrk/native",
    cell: {
      programme: "general",
      topology: "loopback",
      mode: "close",
      size,
      load: "wrk",
      origin: "native",
      connections: 48,
    },
    targets,
    comparisons: compare(targets),
    surcharges: surchargesOf(targets),
  };
}

const good = cellOf(128, {
  direct: [round(4000), round(4200), round(4100)],
  longsplice: [round(2000), round(2100), round(2050)],
  haproxy: [round(1000), round(1050), round(1025)],
});
const broken = cellOf(0, {
  direct: [round(4000)],
  longsplice: [round(7777), round(7777, { failed: "3 read errors" })],
});

const results = (cells: CellResult[]): Results => ({
  date: "2026-01-31T12:00:00.000Z",
  machine: {
    cpu: "CPU",
    cores: 2,
    memoryBytes: 2 ** 33,
    kernel: "6.1",
    openFiles: "1024",
    versions: { node: "20" },
    commit: null,
    dirty: true,
  },
  plan: {
    cells: [],
    scenarios: [],
    targets: ["direct", "longsplice"],
    rounds: 3,
    seconds: 1,
    warmEachRound: true,
    workers: 1,
    quick: false,
    what: "test",
  },
  cells,
  scenarios: [],
});

test("wrk's report comes after its own text", () => {
  const json =
    '{"micros":2000000,"requests":400,"bytes":9000,"p50":120,"p99":900,"cpuSeconds":0.750,"errors":{"connect":0,"read":1,"write":0,"status":0,"timeout":2}}';
  expect(parseWrk(`Running 2s test @ http://x\n  2 threads\n${json}\n`)).toEqual({
    seconds: 2,
    requests: 400,
    bytes: 9000,
    p50Micros: 120,
    p99Micros: 900,
    cpuSeconds: 0.75,
    errors: { connect: 0, read: 1, write: 0, status: 0, timeout: 2 },
  });
  expect(() => parseWrk("unable to connect\n")).toThrow("unable to connect");
});

test("autocannon's milliseconds become microseconds, and all its errors count", () => {
  const text = JSON.stringify({
    duration: 2.01,
    errors: 1,
    timeouts: 2,
    non2xx: 3,
    resets: 4,
    requests: { total: 500 },
    throughput: { total: 6000 },
    latency: { p50: 0, p99: 3 },
  });
  expect(parseAutocannon(text)).toEqual({
    seconds: 2.01,
    requests: 500,
    bytes: 6000,
    p50Micros: 0,
    p99Micros: 3000,
    cpuSeconds: null,
    errors: { socket: 1, timeout: 2, status: 3, reset: 4 },
  });
});

test("longsplice is compared with every target that has numbers", () => {
  expect(good.comparisons.map((other) => [other.with, other.requestsPerSecond.ofMedians])).toEqual([
    ["direct", 0.5],
    ["haproxy", 2],
  ]);
  expect(good.comparisons[1]?.cpuMicros.ofMedians).toBeCloseTo(0.5);
});

const spliced = cellOf(128, {
  direct: [round(4000, { p99Micros: 1000 }), round(5000, { p99Micros: 2000 })],
  splice: [round(3200, { p99Micros: 1500 }), round(4000, { p99Micros: 1500 })],
  longsplice: [round(1600), round(2000)],
});

test("of the two subjects the first is compared with the second, and both with the others", () => {
  const pairs = spliced.comparisons.map((one) => [one.of, one.with, one.requestsPerSecond.ofMedians]);
  expect(pairs).toEqual([
    ["splice", "direct", 0.8],
    ["splice", "longsplice", 2],
    ["longsplice", "direct", 0.4],
  ]);
});

test("what a target adds to direct is a difference of CPU time and a ratio of latencies", () => {
  const splice = spliced.surcharges.find(({ target }) => target === "splice");
  // 250 and 200 us by request directly, 312.5 and 250 spliced.
  expect(splice?.cpuMicros).toEqual({ ofMedians: 56.25, q1: 53.125, q3: 59.375 });
  expect(splice?.p99Micros.ofMedians).toBe(1);
  expect(spliced.surcharges.map(({ target }) => target)).toEqual(["splice", "longsplice"]);
  const rows = markdown(results([spliced]), new Map()).split("\n");
  expect(rows.find((row) => row.startsWith("| 128 B | splice "))).toMatch(
    /1\.00 \(.*56\.3 \(53\.1 to 59\.4\)/,
  );
});

test("nothing is beyond a direct connection that failed", () => {
  const cell = cellOf(0, { direct: [round(1, { failed: "x" })], splice: [round(1)] });
  expect(cell.surcharges).toEqual([]);
});

test("a target that did not start has the reason for a number", () => {
  expect(summarize("splice", [], "no BPF here")).toMatchObject({ failed: "no BPF here", medians: null });
});

test("a target with a failed request has no number anywhere", () => {
  expect(broken.targets[1]).toMatchObject({ failed: "3 read errors", medians: null });
  expect(broken.comparisons).toEqual([]);
  const text = markdown(results([good, broken]), new Map());
  expect(text).toContain("FAILED: 3 read errors");
  expect(text).not.toContain("7,777");
  expect(countFailures(results([good, broken]))).toBe(1);
  expect(throughputPlot("g", [broken])).not.toContain('class="longsplice');
  expect(ratioPlot("g", [broken], "longsplice")).toBeUndefined();
});

test("the table has a row for each target and the ratios beside the others", () => {
  const rows = markdown(results([good]), new Map([["loopback/close/wrk/native", ["a.svg"]]])).split("\n");
  expect(rows.find((row) => row.includes("haproxy"))).toMatch(
    /1,025 .* 1,500 .* 3,000 .* 2\.00 \(2\.00-2\.00\)/,
  );
  expect(rows).toContain("![loopback/close/wrk/native](a.svg)");
  const table = rows.filter((row) => row.startsWith("|"));
  expect(table).toHaveLength(5);
  expect(new Set(table.map((row) => row.length)).size).toBe(1);
});

test("the plots name what they show and draw every value", () => {
  const lines = throughputPlot("loopback/close/wrk/native", [good]) ?? "";
  expect(lines.match(/<circle /g)).toHaveLength(3);
  expect(lines).toContain(">requests per second</text>");
  expect(lines).toContain("prefers-color-scheme:dark");
  const bars = ratioPlot("loopback/close/wrk/native", [good], "longsplice") ?? "";
  expect(bars).toContain(">2.00</text>");
  expect(bars.match(/class="whisker"/g)).toHaveLength(2);
  expect(`${lines}${bars}`).not.toMatch(/NaN|undefined|Infinity/);
});

test("a higher value is drawn higher", () => {
  const text = throughputPlot("g", [good]) ?? "";
  const height = (name: string) =>
    Number(new RegExp(`class="${name} dot" cx="[\\d.]+" cy="([\\d.]+)"`).exec(text)?.[1]);
  expect(height("direct")).toBeLessThan(height("longsplice"));
  expect(height("longsplice")).toBeLessThan(height("haproxy"));
});

test("logarithmic ticks surround what they are for", () => {
  expect(logTicks(300, 23_000)).toEqual([200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000]);
  expect(logTicks(100, 100)).toEqual([100, 200]);
  expect([950, 2000, 50_000, 1_200_000].map(shortNumber)).toEqual(["950", "2k", "50k", "1.2M"]);
});

test("a cumulative histogram becomes counts by bucket", () => {
  const text =
    'd_bucket{le="0.5"} 2\nd_bucket{le="1"} 5\nd_bucket{le="+Inf"} 6\nd_sum 4.5\nd_count 6\nother 1\n';
  expect(histogramOf(text, "d")).toEqual({ bounds: [0.5, 1], counts: [2, 3, 1], sum: 4.5, count: 6 });
  expect(() => metricValue(text, "gone")).toThrow("gone");
});

test("packets are counted by event and fallbacks by reason, each from one reading to the next", () => {
  const text = (packets: number, copied: number) =>
    `longsplice_packet_total{event="spliced"} ${packets}\nlongsplice_packet_total{event="icmp"} 4\n` +
    `longsplice_engine_fallback_total{from="packet",to="copy",reason="mss"} ${copied}\nother{event="x"} 1\n`;
  const [before, after] = [parsePacketCounts(text(10, 1)), parsePacketCounts(text(25, 3))];
  expect(growthOf(before, after)).toEqual({ spliced: 15, "fallback: mss": 2 });
  expect(growthOf({}, before)).toEqual({ spliced: 10, icmp: 4, "fallback: mss": 1 });
});

test("a round counts for the packet engine only if that did the work", () => {
  expect(splicingFailure({ spliced: 100, resets: 3 }, 100, 8)).toBeNull();
  expect(splicingFailure({ spliced: 99 }, 100, 8)).toContain("only 99 x spliced");
  expect(splicingFailure({}, 100, 8)).toContain("only 0 x spliced");
  expect(splicingFailure({}, 100, 8, null)).toBeNull();
  expect(splicingFailure({ "fallback: mss": 2 }, 100, 8, null)).toBe("2 x fallback: mss");
  expect(splicingFailure({ spliced: 200, judged: 90 }, 100, 8, "judged")).toBeNull();
  expect(splicingFailure({ spliced: 200, judged: 89 }, 100, 8, "judged")).toContain("only 89 x judged");
  expect(splicingFailure({ spliced: 200, bad_peer: 1 }, 100, 8)).toBe("1 x bad_peer");
  expect(splicingFailure({ spliced: 200, "fallback: mss": 2 }, 100, 8)).toBe("2 x fallback: mss");
});

test("clients that leave when the time is over are none of the engine's failures", () => {
  expect(splicingFailure({ spliced: 200, "fallback: half_closed": 8 }, 100, 8)).toBeNull();
  expect(splicingFailure({ spliced: 200, "fallback: half_closed": 9 }, 100, 8)).toContain("half_closed");
});

test("a proxy holds half as many connections as it may have descriptors, and more idle ones, less a reserve", () => {
  expect(connectionsWithin(20_000)).toBe(9800);
  expect(connectionsWithin(256)).toBeLessThan(1);
  expect(idleConnectionsWithin(20_000)).toBe(17_150);
});

test("resident memory is in kilobytes in /proc", () => {
  expect(parseResident("VmPeak:\t  99 kB\nVmRSS:\t  12 kB\n")).toBe(12_288);
});

test("memory that is given back while connections are open does not hide what they cost", () => {
  const cost = costOf([9000, 8000], [8500, 9500, 4000], 100);
  expect(cost).toEqual({ growth: 15, span: 55 });
});

test("only a machine with time to spare can show how workers scale", () => {
  const with_ = (proxy: number, busy: number) => [
    round(1000, { cpu: { busy, steal: 0, total: 4, proxy, origin: 0.3 } }),
  ];
  expect(verdict(with_(0.99, 1.5), with_(1.9, 3))).toMatch(/^A measurement/);
  expect(verdict(with_(0.99, 3.9), with_(1.2, 4))).toMatch(/^Not a measurement.*100 % busy/);
  expect(verdict(with_(0.5, 1), with_(0.5, 1))).toMatch(/^Not a measurement.*something else/);
});
