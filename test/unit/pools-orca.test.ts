import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { REPORTED_FIGURES } from "../../src/policy/load-layout.js";
import { type LoadFigures, LoadReports } from "../../src/pools/load-report.js";
import { LoadTable } from "../../src/pools/load-table.js";
import { formatOrcaJson, parseOrca, parseOrcaJson } from "../../src/pools/orca.js";

const figures: fc.Arbitrary<LoadFigures> = fc.record(
  Object.fromEntries(REPORTED_FIGURES.map((name) => [name, fc.integer({ min: 0, max: 1000 })])),
  { requiredKeys: [] },
);

describe("a load report in a header", () => {
  it.each<[string, LoadFigures | undefined]>([
    [
      "TEXT cpu_utilization=0.3, mem_utilization=0.8, application_utilization=0.5, rps_fractional=10, named_metrics.custom=7",
      { cpu: 0.3, memory: 0.8, utilization: 0.5 },
    ],
    ["cpu_utilization=0.3", { cpu: 0.3 }],
    ["text cpu_utilization:0.3,mem_utilization:1", { cpu: 0.3, memory: 1 }],
    [
      "TEXT named_metrics.queue=7,named_metrics.io=.5,named_metrics.tcp_connections=120,named_metrics.active_sockets=3",
      { queue: 7, io: 0.5, tcpConnections: 120, activeSockets: 3 },
    ],
    ["TEXT cpu_utilization=1.75", { cpu: 1.75 }],
    ["TEXT cpu_utilization=5e-1", { cpu: 0.5 }],
    ["TEXT cpu_utilization=-1, mem_utilization=x, application_utilization=Infinity", undefined],
    ["TEXT cpu_utilization=0.3 0.4, mem_utilization=0.2", { memory: 0.2 }],
    ["TEXT cpu_utilization=, =3, ,,", undefined],
    ["TEXT __proto__=1, constructor=2", undefined],
    ["TEXT", undefined],
    ["", undefined],
    ["BIN CgZoZWFs", undefined],
    ['JSON {"cpu_utilization": 0.3, "named_metrics": {"queue": 2}}', { cpu: 0.3, queue: 2 }],
    ['{"cpuUtilization": 0.3, "namedMetrics": {"active_sockets": 2}}', { cpu: 0.3, activeSockets: 2 }],
    ['JSON {"cpu_utilization": "0.3", "mem_utilization": -1, "named_metrics": 7}', undefined],
    ['JSON {"cpu_utilization": 1e999}', undefined],
    ["JSON [1, 2]", undefined],
    ["JSON null", undefined],
    ["JSON {", undefined],
  ])("%s", (text, expected) => {
    expect(parseOrca(text)).toEqual(expected);
  });

  it("may be anything, and nothing of it is below 0 or without end", () => {
    const word = fc.constantFrom(
      ...'TEXT JSON cpu_utilization named_metrics. io = : , 0.5 -1 1e999 NaN { } " null'.split(" "),
      " ",
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(word).map((words) => words.join("")),
    );
    fc.assert(
      fc.property(text, (value) => {
        for (const figure of Object.values(parseOrca(value) ?? {})) {
          expect(figure).toBeGreaterThanOrEqual(0);
          expect(figure).toBeLessThan(Infinity);
        }
      }),
    );
  });

  it("comes back from JSON as it was", () => {
    fc.assert(
      fc.property(figures, (report) => {
        const empty = Object.keys(report).length === 0;
        expect(parseOrcaJson(formatOrcaJson(report))).toEqual(empty ? undefined : report);
      }),
    );
  });
});

describe("load reports in the table", () => {
  const fresh = () => {
    const table = new LoadTable();
    return { table, reports: new LoadReports(table.cells) };
  };

  it("are thousandths or counts, plus 1", () => {
    const { table, reports } = fresh();
    reports.write(3, { cpu: 0.3125, queue: 0, tcpConnections: 7, utilization: 2 });
    const cells = REPORTED_FIGURES.map((name) => [name, table.read(3, name)]);
    expect(Object.fromEntries(cells)).toEqual({
      cpu: 314,
      memory: 0,
      io: 0,
      tcpConnections: 8,
      activeSockets: 0,
      queue: 1,
      utilization: 2001,
    });
    expect(reports.read(3)).toEqual({ cpu: 0.313, queue: 0, tcpConnections: 7, utilization: 2 });
  });

  it("replace the one before, whole, and fit whatever they say", () => {
    const { table, reports } = fresh();
    reports.write(0, { cpu: 0.5, io: 0.1 });
    reports.write(0, { cpu: 1e300, activeSockets: 1e300 });
    expect(reports.read(0)).toEqual({ cpu: (2 ** 31 - 2) / 1000, activeSockets: 2 ** 31 - 2 });
    expect(table.read(0, "io")).toBe(0);
  });

  it("are counted for each backend, also without figures", () => {
    const { reports } = fresh();
    reports.write(1, {});
    reports.heard(1);
    expect([reports.count(0), reports.count(1)]).toEqual([0, 2]);
    reports.write(1, { cpu: 1 });
    reports.clear(1);
    expect([reports.read(1), reports.count(1)]).toEqual([{}, 3]);
  });
});
