/**
 * The verdict on a run in the guest, given on the host, where starting this costs a twentieth.
 *
 *   count.ts REPORT STATUS    what vitest's json reporter wrote, and vitest's exit code
 */
import { readFileSync } from "node:fs";
import { countResults, type VitestReport } from "../../scripts/count-results.js";
import { NOT_HERE } from "./not-here.js";

const [reportFile, status] = process.argv.slice(2);

type FileResult = VitestReport["testResults"][number];

const withoutNotHere = (file: FileResult): FileResult => ({
  ...file,
  assertionResults: file.assertionResults.filter(({ fullName }) => !NOT_HERE.test(fullName)),
});

function readReport(): VitestReport | undefined {
  try {
    const { testResults } = JSON.parse(readFileSync(reportFile!, "utf8")) as VitestReport;
    return { testResults: testResults.map(withoutNotHere) };
  } catch {
    return undefined;
  }
}

const { passed, failed, notes } = countResults(readReport(), [], Number(status));
for (const note of notes) process.stdout.write(`FAILED ${note}\n`);
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
