import { beforeEach, expect, it } from "vitest";
import { LoadReports, LoadTable } from "../../src/pools/index.js";
import { HeaderReports } from "../../src/server/header-reports.js";

let reports: LoadReports;
let headers: HeaderReports;

beforeEach(() => {
  reports = new LoadReports(new LoadTable().cells);
  headers = new HeaderReports(reports);
});

it("takes reports for each backend, as they come", () => {
  headers.note(0, "TEXT cpu_utilization=0.5");
  headers.note(1, "TEXT cpu_utilization=0.5, named_metrics.queue=1");
  headers.note(0, "TEXT mem_utilization=0.25");
  expect([reports.read(0), reports.read(1)]).toEqual([{ memory: 0.25 }, { cpu: 0.5, queue: 1 }]);
});

it("counts one that says the same again, and writes it again when it had been forgotten", () => {
  headers.note(0, "TEXT cpu_utilization=0.5");
  reports.clear(0);
  headers.note(0, "TEXT cpu_utilization=0.5");
  expect(reports.count(0)).toBe(2);
  expect(reports.read(0)).toEqual({ cpu: 0.5 });
});

it("passes over what is no report", () => {
  headers.note(0, "TEXT cpu_utilization=0.5");
  headers.note(0, "nonsense");
  expect([reports.count(0), reports.read(0)]).toEqual([1, { cpu: 0.5 }]);
});
