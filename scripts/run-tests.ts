/** Runs static checks, vitest, sanitizers and fuzzer, and closes with the one line that counts what passed and failed. */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { countResults, type VitestReport } from "./count-results.js";
import { lint } from "./lint.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const reportFile = join(root, "test-results/vitest.json");

/** Runs vitest to its end; its exit code, or null if a signal ended it. */
function vitest(args: readonly string[]): Promise<number | null> {
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
  const child = spawn(join(root, "node_modules/.bin/vitest"), ["run", ...reporters, ...args], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  // A terminal signals the whole group; this process must live on to write the closing line.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
}

/** Each passes or fails as a whole, and keeps the machine busy: so they come after everything that measures time. */
const programs = ["scripts/sanitize", "scripts/fuzz"];

/** Runs a program of this repository to its end; true if it exited 0. */
function run(program: string): Promise<boolean> {
  const child = spawn(join(root, program), { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code === 0));
  });
}

function readReport(): VitestReport | undefined {
  try {
    return JSON.parse(readFileSync(reportFile, "utf8")) as VitestReport;
  } catch {
    return undefined;
  }
}

function testFiles(): string[] {
  return readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => join(root, "test", name));
}

const total = { passed: 0, failed: 0 };
try {
  const filters = process.argv.slice(2);
  if (filters.length === 0) Object.assign(total, await lint());
  rmSync(reportFile, { force: true });
  mkdirSync(join(root, "test-results"), { recursive: true });
  const exitCode = await vitest(filters);
  const { passed, failed, notes } = countResults(
    readReport(),
    filters.length === 0 ? testFiles() : [],
    exitCode,
  );
  for (const note of notes) console.log(`FAILED ${note}`);
  total.passed += passed;
  total.failed += failed;
  for (const program of filters.length === 0 ? programs : []) {
    if (await run(program)) total.passed++;
    else total.failed++;
  }
} catch (error) {
  console.error(error);
  total.failed++;
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
