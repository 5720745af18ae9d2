/** Runs static checks, the guest, sanitizers, fuzzer and vitest, and closes with the one line that counts what passed and failed. */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { countResults, type VitestReport } from "./count-results.js";
import { lint } from "./lint.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const vitest = "node_modules/.bin/vitest";
const reportFile = join(root, "test-results/vitest.json");

interface Total {
  passed: number;
  failed: number;
}

function add(total: Total, { passed, failed }: Readonly<Total>): void {
  total.passed += passed;
  total.failed += failed;
}

/** The process groups that run now. */
const running = new Set<number>();
let stopped = false;
// This process lives on to write the closing line.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    stopped = true;
    for (const group of running) process.kill(-group, signal);
  });
}

/** Runs a program of this repository to its end; its exit code, or null if a signal ended it. */
function run(
  [program, ...args]: readonly [string, ...string[]],
  output: "inherit" | ((data: Buffer) => void),
): Promise<number | null> {
  const to = output === "inherit" ? output : "pipe";
  const child = spawn(join(root, program), args, { cwd: root, stdio: ["ignore", to, to], detached: true });
  if (output !== "inherit") for (const stream of [child.stdout, child.stderr]) stream?.on("data", output);
  const { pid } = child;
  if (pid !== undefined) running.add(pid);
  return new Promise((resolve, reject) => {
    child.once("exit", () => running.delete(pid ?? 0));
    child.once("error", reject);
    child.once("close", resolve);
  });
}

/**
 * A program that passes or fails as a whole. What it writes is shown in one piece when it ends, or two would be read as
 * one.
 */
const program =
  (...command: readonly [string, ...string[]]) =>
  async (): Promise<Total> => {
    const name = command.join(" ");
    const started = performance.now();
    const output: Buffer[] = [];
    console.log(`begun  ${name}`);
    const exitCode = await run(command, (data) => output.push(data)).catch((error: unknown) => {
      output.push(Buffer.from(`${error}\n`));
      return null;
    });
    const passed = exitCode === 0;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${Buffer.concat(output).toString()}${passed ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
    return passed ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  };

/**
 * What measures neither time nor load, the longest first. Each leaves a processor idle for a part of its time, so two run
 * at once.
 */
const tasks: readonly (() => Promise<Total>)[] = [
  program("scripts/test-kernels", "--short"),
  lint,
  program("scripts/sanitize"),
  program("scripts/fuzz"),
];
const AT_ONCE = 2;

async function runTasks(total: Total): Promise<void> {
  const waiting = [...tasks];
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      add(total, stopped ? { passed: 0, failed: 1 } : await next());
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
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

async function runVitest(filters: readonly string[], total: Total): Promise<void> {
  rmSync(reportFile, { force: true });
  mkdirSync(join(root, "test-results"), { recursive: true });
  const reporters = ["default", "json", "./scripts/second-attempts.ts"].map((name) => `--reporter=${name}`);
  const exitCode = await run(
    [vitest, "run", ...reporters, `--outputFile.json=${reportFile}`, ...filters],
    "inherit",
  );
  const wanted = filters.length === 0 ? testFiles() : [];
  const count = countResults(readReport(), wanted, exitCode);
  for (const note of count.notes) console.log(`FAILED ${note}`);
  add(total, count);
}

const total: Total = { passed: 0, failed: 0 };
try {
  const filters = process.argv.slice(2);
  if (filters.length === 0) await runTasks(total);
  if (!stopped) await runVitest(filters, total);
} catch (error) {
  console.error(error);
  total.failed++;
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 && total.passed > 0 && !stopped ? 0 : 1;
