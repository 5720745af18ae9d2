/** `npm run bench`: measures, reports, and leaves nothing running. docs/benchmarking.md explains what and how. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describeMachine } from "./machine.js";
import { type Plan, parsePlan } from "./options.js";
import { stopEverything } from "./processes.js";
import { Progress } from "./progress.js";
import { countFailures, type Results } from "./report.js";
import { runCells } from "./run-cells.js";
import { freeName, saveResults } from "./save.js";
import { runScenarios, scenarioSteps } from "./scenarios/index.js";
import { removeNamespaces } from "./topology.js";

const resultsFolder = fileURLToPath(new URL("results", import.meta.url));

/** Measures what the plan says and writes the results; returns how many numbers are missing because of failures. */
async function bench(plan: Plan, folder: string): Promise<number> {
  const machine = describeMachine();
  const date = new Date().toISOString();
  const steps = plan.cells.length * plan.targets.length * plan.rounds + scenarioSteps(plan);
  const progress = new Progress(steps);
  const cells = await runCells(plan, folder, progress);
  const scenarios = await runScenarios(plan, folder, progress);
  const results: Results = { date, machine, plan, cells, scenarios };
  const target =
    plan.what === null ? mkdtempSync(join(tmpdir(), "longsplice-bench-results-")) : resultsFolder;
  const name = freeName(target, date, plan.what ?? "quick");
  progress.note("");
  console.log(saveResults(results, target, name));
  console.log(`Written: ${join(target, name)}.json, .md and plots`);
  return countFailures(results);
}

const isRoot = process.getuid?.() === 0;
const plan = parsePlan(process.argv.slice(2), isRoot);
if (!isRoot) console.error("Without root the packet engine is not measured.");
const folder = mkdtempSync(join(tmpdir(), "longsplice-bench-"));
const interrupted = Promise.race(["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => once(process, signal)));
try {
  const failures = await Promise.race([bench(plan, folder), interrupted]);
  if (typeof failures !== "number") throw new Error("interrupted");
  if (failures > 0) throw new Error(`${failures} measurements failed and have no number`);
} catch (error) {
  console.error(`\nbench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  await stopEverything();
  await removeNamespaces();
  rmSync(folder, { recursive: true, force: true });
}
// After an interrupt a measurement may still wait for what was stopped; nothing is left that it could tell.
process.exit();
