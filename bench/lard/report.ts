/** The results of the simulation as text. */
import type { Machine } from "../machine.js";
import { table } from "../report.js";
import {
  type ExperimentResult,
  expectations,
  type RunResult,
  riceCoverage,
  riceLike,
  type Scale,
} from "./experiments.js";

/** Everything that a run found out; the JSON file is this. */
export interface LardResults {
  readonly date: string;
  readonly machine: Machine;
  readonly scale: Scale;
  /** Whether some of the experiments or numbers of nodes were left out. */
  readonly isPart: boolean;
  readonly seconds: number;
  /** What the most popular files of the Rice-like set take, in the order of `riceCoverage`. */
  readonly coveredMegabytes: readonly number[];
  /** Mean of what a request asks for in the Rice-like trace, bytes. */
  readonly meanBytes: number;
  readonly experiments: readonly ExperimentResult[];
}

const columns = [
  "strategy",
  "",
  "nodes",
  "requests/s",
  "to round-robin",
  "misses",
  "underused",
  "delay ms",
] as const;

function row({ run, outcome }: RunResult, all: readonly RunResult[]): string[] {
  const plain = all.find((other) => other.run.strategy === "round-robin" && other.run.nodes === run.nodes);
  const percent = (part: number) => `${(part * 100).toFixed(1)} %`;
  return [
    run.strategy,
    run.variant ?? "",
    String(run.nodes),
    outcome.requestsPerSecond.toFixed(0),
    plain === undefined ? "" : (outcome.requestsPerSecond / plain.outcome.requestsPerSecond).toFixed(2),
    percent(outcome.missRatio),
    percent(outcome.underused),
    outcome.delayMs.toFixed(0),
  ];
}

/** The table of one experiment. */
export const experimentTable = ({ results }: ExperimentResult): string =>
  table(
    columns,
    results.map((result) => row(result, results)),
    2,
  );

function coverageText({ coveredMegabytes, meanBytes }: LardResults): string {
  const parts = riceCoverage.map(
    ({ share, megabytes }, index) =>
      `${(share * 100).toFixed(0)} % of the requests in ${coveredMegabytes[index]?.toFixed(0)} MB (Rice: ${megabytes})`,
  );
  return `The Rice-like set: ${riceLike.files.toLocaleString("en-US")} files, ${(riceLike.totalBytes / 1e6).toLocaleString("en-US")} MB; ${parts.join(", ")}. A request asks for ${(meanBytes / 1000).toFixed(1)} kB in the mean.`;
}

function machineText({ date, machine, scale, seconds }: LardResults): string {
  const state = machine.commit === null ? "no commit" : `commit ${machine.commit.slice(0, 12)}`;
  return [
    `${date}, ${state}${machine.dirty ? " with changes" : ""}. ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, node ${machine.versions.node}.`,
    `Traces of ${scale.requests.toLocaleString("en-US")} requests (hot-fast, k: 800,000), of which the first half is warm-up. It took ${seconds.toFixed(0)} s; the results do not depend on the machine.`,
  ].join("\n");
}

/** @param plots names of plot files beside the Markdown file, by experiment */
export function lardMarkdown(results: LardResults, plots: ReadonlyMap<string, readonly string[]>): string {
  const rows = expectations(results.experiments, results.isPart).map(({ what, wanted, ratio, met }) => [
    what,
    wanted,
    ratio.toFixed(2),
    met ? "yes" : "NO",
  ]);
  const parts = [
    "# Simulation: lard",
    machineText(results),
    coverageText(results),
    "How it works: [docs/benchmarking.md](../../docs/benchmarking.md#the-simulation-of-lard).",
    table(["expected", "wanted", "is", "met"], rows, 2),
  ];
  for (const result of results.experiments) {
    const { name, title } = result.experiment;
    parts.push(`## ${name}: ${title}`, experimentTable(result));
    for (const file of plots.get(name) ?? []) parts.push(`![${title}](${file})`);
  }
  return `${parts.join("\n\n")}\n`;
}
