/** What we read of a report that vitest's json reporter wrote. */
export interface VitestReport {
  readonly testResults: readonly {
    /** Absolute path of the test file. */
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

export interface Count {
  passed: number;
  failed: number;
  /** One line for each failure that vitest itself does not show as one. */
  notes: string[];
}

/**
 * Counts tests so that nothing which did not run can pass for a success: a skipped test, a file that did not load,
 * a file that the report does not know, and an error outside of any test each count as one failure.
 *
 * @param report `undefined` if vitest ended without writing one
 * @param files absolute paths of the test files that had to run
 * @param exitCode vitest's own verdict
 */
export function countResults(
  report: VitestReport | undefined,
  files: readonly string[],
  exitCode: number | null,
): Count {
  const count: Count = { passed: 0, failed: 0, notes: [] };
  const fail = (note?: string) => {
    count.failed++;
    if (note !== undefined) count.notes.push(note);
  };
  for (const file of report?.testResults ?? []) {
    const failedBefore = count.failed;
    for (const { status, fullName } of file.assertionResults) {
      if (status === "passed") count.passed++;
      else if (status === "failed") fail();
      else fail(`${file.name}: "${fullName}" did not run (${status})`);
    }
    if (file.assertionResults.length === 0) fail(`${file.name}: no test in it ran`);
    else if (file.status !== "passed" && count.failed === failedBefore)
      fail(`${file.name}: failed outside of its tests`);
  }
  const reported = new Set(report?.testResults.map((file) => file.name));
  for (const file of files) {
    if (!reported.has(file)) fail(`${file}: did not run`);
  }
  if (exitCode !== 0 && count.failed === 0) fail(`vitest exited with ${exitCode} although no test failed`);
  return count;
}
