/** `npm run bench:lard`: the simulation of Pai et al. with the shipped policies. docs/benchmarking.md explains it. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, Option } from "commander";
import { describeMachine } from "../machine.js";
import { Progress } from "../progress.js";
import { freeName } from "../save.js";
import {
  type Experiment,
  type ExperimentResult,
  expectations,
  experiments,
  fullScale,
  quickScale,
  riceCoverage,
  riceLike,
} from "./experiments.js";
import { experimentPlots } from "./plot.js";
import { experimentTable, type LardResults, lardMarkdown } from "./report.js";
import { simulate } from "./simulate.js";
import { coveringBytes, makeWorkload } from "./workload.js";

const resultsFolder = fileURLToPath(new URL("../results", import.meta.url));

function runExperiment(experiment: Experiment, progress: Progress): ExperimentResult {
  const workload = makeWorkload(experiment.shape);
  const results = experiment.runs.map((run) => {
    progress.step([experiment.name, run.variant, run.strategy, `n=${run.nodes}`].filter(Boolean).join(", "));
    return { run, outcome: simulate(run, workload) };
  });
  const result = { experiment, results };
  progress.note(`\n${experiment.name}: ${experiment.title}\n${experimentTable(result)}`);
  return result;
}

function describeRice(requests: number): Pick<LardResults, "coveredMegabytes" | "meanBytes"> {
  const shape = { ...riceLike, requests };
  const { sizes, trace } = makeWorkload(shape);
  const bytes = trace.reduce((sum, file) => sum + (sizes[file] as number), 0);
  return {
    coveredMegabytes: riceCoverage.map(({ share }) => coveringBytes(shape, sizes, share) / 1e6),
    meanBytes: bytes / trace.length,
  };
}

/** Writes JSON, Markdown and plots; returns the Markdown. */
function save(results: LardResults, folder: string, name: string): string {
  mkdirSync(folder, { recursive: true });
  const plots = new Map<string, string[]>();
  for (const result of results.experiments) {
    const files = experimentPlots(result).map(([kind, svg]) => {
      const file = `${name}-${result.experiment.name}-${kind}.svg`;
      writeFileSync(join(folder, file), svg);
      return file;
    });
    plots.set(result.experiment.name, files);
  }
  const text = lardMarkdown(results, plots);
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(join(folder, `${name}.md`), text);
  return text;
}

const names = experiments(fullScale).map(({ name }) => name);
const { quick, only } = new Command("npm run bench:lard --")
  .description("Simulate a cluster behind the policies; docs/benchmarking.md explains.")
  .option("--quick", "short traces, few numbers of nodes; results in a temporary folder")
  .addOption(
    new Option("--only <experiment>", "one experiment; results in a temporary folder").choices(names),
  )
  .parse()
  .opts<{ quick?: true; only?: string }>();
const isPart = quick === true || only !== undefined;
const scale = quick === true ? quickScale : fullScale;
const chosen = experiments(scale).filter(({ name }) => only === undefined || name === only);
const machine = describeMachine();
const progress = new Progress(chosen.reduce((sum, { runs }) => sum + runs.length, 0));
const started = performance.now();
const done = chosen.map((experiment) => runExperiment(experiment, progress));
const results: LardResults = {
  date: new Date().toISOString(),
  machine,
  scale,
  isPart,
  seconds: (performance.now() - started) / 1000,
  ...describeRice(scale.requests),
  experiments: done,
};
const folder = isPart ? mkdtempSync(join(tmpdir(), "longsplice-bench-results-")) : resultsFolder;
const name = freeName(folder, results.date, "lard");
console.log(save(results, folder, name));
console.log(`Written: ${join(folder, name)}.json, .md and plots`);
const missed = expectations(done, isPart).filter(({ met }) => !met);
for (const { what, wanted, ratio } of missed) console.error(`Expected ${wanted}, is ${ratio}: ${what}`);
process.exitCode = missed.length === 0 ? 0 : 1;
