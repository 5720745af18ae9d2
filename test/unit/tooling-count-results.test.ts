import { expect, test } from "vitest";
import { countResults } from "../../scripts/count-results.js";

const file = (name: string, status: string, ...tests: string[]) => ({
  name,
  status,
  assertionResults: tests.map((status, index) => ({ status, fullName: `case ${index}` })),
});

test("counts passed and failed tests over all files", () => {
  const report = {
    testResults: [file("/a", "passed", "passed", "passed"), file("/b", "failed", "passed", "failed")],
  };
  expect(countResults(report, ["/a", "/b"], 1)).toEqual({ passed: 3, failed: 1, notes: [] });
});

test("a test that was skipped or left for later counts as failed", () => {
  const report = { testResults: [file("/a", "passed", "passed", "pending", "todo")] };
  expect(countResults(report, ["/a"], 0)).toMatchObject({ passed: 1, failed: 2 });
});

test("a file that does not load counts as failed", () => {
  const report = { testResults: [file("/a", "failed")] };
  expect(countResults(report, ["/a"], 1)).toEqual({ passed: 0, failed: 1, notes: ["/a: no test in it ran"] });
});

test("a hook that fails after its tests have passed counts as failed", () => {
  const report = { testResults: [file("/a", "failed", "passed")] };
  expect(countResults(report, ["/a"], 1)).toEqual({
    passed: 1,
    failed: 1,
    notes: ["/a: failed outside of its tests"],
  });
});

test("a file that vitest never came to counts as failed", () => {
  const report = { testResults: [file("/a", "passed", "passed")] };
  expect(countResults(report, ["/a", "/b"], 0)).toEqual({ passed: 1, failed: 1, notes: ["/b: did not run"] });
});

test("a missing report fails every file", () => {
  expect(countResults(undefined, ["/a", "/b"], null)).toMatchObject({ passed: 0, failed: 2 });
});

test("an error outside of any file fails the run", () => {
  const report = { testResults: [file("/a", "passed", "passed")] };
  expect(countResults(report, ["/a"], 1)).toEqual({
    passed: 1,
    failed: 1,
    notes: ["vitest exited with 1 although no test failed"],
  });
});
