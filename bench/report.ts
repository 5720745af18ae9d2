/** Results as text: the table for the terminal and the result file is the same Markdown. */
import { sizeText, type TargetName, targetNames } from "./cells.js";
import type { Machine } from "./machine.js";
import type { Plan } from "./options.js";
import type { CellResult, Subject, TargetResult } from "./run-cells.js";
import type { ScenarioResult } from "./scenarios/scenario.js";
import { type Difference, ratioText } from "./stats.js";

/** Everything that a run of the bench found out; the JSON file is this. */
export interface Results {
  readonly date: string;
  readonly machine: Machine;
  readonly plan: Plan;
  readonly cells: readonly CellResult[];
  readonly scenarios: readonly ScenarioResult[];
}

/** How many targets and scenarios have no number because requests failed. */
export function countFailures({ cells, scenarios }: Results): number {
  const targets = cells.flatMap((cell) => cell.targets);
  return [...targets, ...scenarios].filter(({ failed }) => failed !== null).length;
}

/** Three significant digits are more than rounds agree on. */
function number(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** autocannon knows only whole milliseconds. */
function latency(micros: number, coarse: boolean): string {
  if (coarse && micros < 1000) return "< 1000";
  return number(micros);
}

/** @param words how many of the first columns are words, and not numbers */
export function table(
  columns: readonly string[],
  rows: readonly (readonly string[])[],
  words: number,
): string {
  const all = [columns, ...rows];
  const widths = columns.map((_, column) => Math.max(3, ...all.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) => {
    const padded = widths.map((width, i) => {
      const text = cells[i] ?? "";
      return i < words ? text.padEnd(width) : text.padStart(width);
    });
    return `| ${padded.join(" | ")} |`;
  };
  const rule = widths.map((width, i) => (i < words ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(columns), line(rule), ...rows.map(line)].join("\n");
}

const differenceText = (difference: Difference) =>
  `${number(difference.ofMedians)} (${number(difference.q1)} to ${number(difference.q3)})`;

function targetRow(cell: CellResult, result: TargetResult): string[] {
  const { target, medians, failed } = result;
  const { size, connections, load } = cell.cell;
  const head = [sizeText(size), target, String(connections)];
  if (medians === null) return [...head, `FAILED: ${failed}`];
  const coarse = load === "autocannon";
  const surcharge = cell.surcharges.find((other) => other.target === target);
  const to = (of: Subject) => cell.comparisons.find((other) => other.of === of && other.with === target);
  const [splice, longsplice] = [to("splice"), to("longsplice")];
  return [
    ...head,
    number(medians.requestsPerSecond),
    latency(medians.p50Micros, coarse),
    latency(medians.p99Micros, coarse),
    surcharge === undefined || coarse ? "" : ratioText(surcharge.p99Micros),
    number(medians.cpuMicros),
    surcharge === undefined ? "" : differenceText(surcharge.cpuMicros),
    splice === undefined ? "" : ratioText(splice.requestsPerSecond),
    longsplice === undefined ? "" : ratioText(longsplice.requestsPerSecond),
    longsplice === undefined ? "" : ratioText(longsplice.cpuMicros),
  ];
}

const cellColumns = [
  "body",
  "target",
  "connections",
  "requests/s",
  "p50 us",
  "p99 us",
  "p99 to direct's",
  "CPU us/request",
  "beyond direct's us",
  "splice to it: requests/s",
  "longsplice to it: requests/s",
  "longsplice to it: CPU",
];

/** The groups in the order in which they were measured. */
export function groupsOf(cells: readonly CellResult[]): [group: string, cells: CellResult[]][] {
  const groups = new Map<string, CellResult[]>();
  for (const cell of cells) groups.set(cell.group, [...(groups.get(cell.group) ?? []), cell]);
  return [...groups];
}

function machineText({ machine, plan, date }: Results): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const state = machine.commit === null ? "no commit" : `commit ${machine.commit.slice(0, 12)}`;
  return [
    `${date}, ${state}${machine.dirty ? " with changes" : ""}. ${machine.cpu}, ${machine.cores} cores, ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, Linux ${machine.kernel}.`,
    `${versions.join(", ")}.`,
    `${plan.rounds} interleaved rounds of ${plan.seconds} s, ${plan.workers} worker(s) or thread(s) for each proxy.`,
  ].join("\n");
}

/** @param plots names of plot files beside the Markdown file, by group or scenario */
export function markdown(results: Results, plots: ReadonlyMap<string, readonly string[]>): string {
  const parts = [
    `# Bench: ${results.plan.what ?? "quick"}`,
    machineText(results),
    "Medians of the rounds. `splice` is longsplice with the packet engine, `longsplice` forwards each exchange and copies. The ratios divide one median by the other; in parentheses the quartiles of the ratios (or differences) round by round. `CPU` is that of the whole machine, load generator and origin included. How it was measured: [docs/benchmarking.md](../../docs/benchmarking.md).",
  ];
  for (const [group, cells] of groupsOf(results.cells)) {
    const rows = cells.flatMap((cell) => cell.targets.map((result) => targetRow(cell, result)));
    parts.push(`## ${group}`, table(cellColumns, rows, 2));
    for (const file of plots.get(group) ?? []) parts.push(`![${group}](${file})`);
  }
  for (const { name, title, failed, columns, rows, notes } of results.scenarios) {
    parts.push(`## ${title}`);
    if (failed !== null) parts.push(`FAILED: ${failed}`);
    else parts.push(table(columns, rows, 1), ...notes);
    for (const file of plots.get(name) ?? []) parts.push(`![${title}](${file})`);
  }
  return `${parts.join("\n\n")}\n`;
}

/** Names of the targets that have a number in at least one of the cells. */
export function reportedTargets(cells: readonly CellResult[]): TargetName[] {
  return targetNames.filter((name) =>
    cells.some((cell) => cell.targets.some(({ target, medians }) => target === name && medians !== null)),
  );
}
