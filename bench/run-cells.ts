/** Runs the cells: all targets side by side, measured in turns. */
import { join } from "node:path";
import { type Cell, cellId, groupOf, type TargetName } from "./cells.js";
import { type Lineup, openLineup } from "./lineup.js";
import { type LoadShape, measureOnce, type Round } from "./measure.js";
import type { Plan } from "./options.js";
import type { Progress } from "./progress.js";
import { type Difference, difference, median, type Ratio, ratio } from "./stats.js";

/** The measurements of one target in a cell. */
export interface TargetResult {
  readonly target: TargetName;
  /** Why there is no number to report, or null. */
  readonly failed: string | null;
  readonly medians: Pick<Round, "requestsPerSecond" | "p50Micros" | "p99Micros" | "cpuMicros"> | null;
  /** Every measurement as it came, also of a target that failed. */
  readonly rounds: readonly Round[];
}

/** Targets that are compared with all others. */
export const subjects = ["splice", "longsplice"] as const;
export type Subject = (typeof subjects)[number];

/** A subject compared with another target of the same cell. */
export interface Comparison {
  readonly of: Subject;
  readonly with: TargetName;
  readonly requestsPerSecond: Ratio;
  readonly cpuMicros: Ratio;
}

/** What a target adds to `direct` of the same cell. */
export interface Surcharge {
  readonly target: TargetName;
  readonly cpuMicros: Difference;
  readonly p99Micros: Ratio;
}

export interface CellResult {
  readonly id: string;
  readonly group: string;
  readonly cell: Cell;
  readonly targets: readonly TargetResult[];
  /** Of each subject with each other target; none where either failed. */
  readonly comparisons: readonly Comparison[];
  /** Of each target but `direct`; none where either failed. */
  readonly surcharges: readonly Surcharge[];
}

/** Turns the rounds of a target into what is reported; null for a failed one: no number stands for it. */
export function summarize(
  target: TargetName,
  rounds: readonly Round[],
  absent: string | null = null,
): TargetResult {
  const failed = absent ?? rounds.find((round) => round.failed !== null)?.failed ?? null;
  const medianOf = (key: "requestsPerSecond" | "p50Micros" | "p99Micros" | "cpuMicros") =>
    median(rounds.map((round) => round[key]));
  const medians = {
    requestsPerSecond: medianOf("requestsPerSecond"),
    p50Micros: medianOf("p50Micros"),
    p99Micros: medianOf("p99Micros"),
    cpuMicros: medianOf("cpuMicros"),
  };
  return { target, failed, medians: failed === null ? medians : null, rounds };
}

type Measure = "requestsPerSecond" | "cpuMicros" | "p99Micros";
const valuesOf = (result: TargetResult, key: Measure) => result.rounds.map((round) => round[key]);

/** Each subject against each other target that has as many good rounds; of two subjects the first against the second. */
export function compare(results: readonly TargetResult[]): Comparison[] {
  const good = results.filter(({ failed }) => failed === null);
  return subjects.flatMap((of, index) => {
    const ours = good.find(({ target }) => target === of);
    if (ours === undefined) return [];
    const done: readonly string[] = subjects.slice(0, index + 1);
    const others = good.filter(({ target }) => !done.includes(target));
    return others.map((other) => {
      const ratioOf = (key: Measure) => ratio(valuesOf(ours, key), valuesOf(other, key));
      return {
        of,
        with: other.target,
        requestsPerSecond: ratioOf("requestsPerSecond"),
        cpuMicros: ratioOf("cpuMicros"),
      };
    });
  });
}

/** Each target that has as many good rounds as `direct` against that. */
export function surchargesOf(results: readonly TargetResult[]): Surcharge[] {
  const good = results.filter(({ failed }) => failed === null);
  const direct = good.find(({ target }) => target === "direct");
  if (direct === undefined) return [];
  return good
    .filter((result) => result !== direct)
    .map((result) => ({
      target: result.target,
      cpuMicros: difference(valuesOf(result, "cpuMicros"), valuesOf(direct, "cpuMicros")),
      p99Micros: ratio(valuesOf(result, "p99Micros"), valuesOf(direct, "p99Micros")),
    }));
}

/** Measures a cell round by round; each round begins with another target, so that none is always first or last. */
async function runCell(cell: Cell, plan: Plan, lineup: Lineup, progress: Progress): Promise<CellResult> {
  const id = cellId(cell);
  const { load, connections, mode } = cell;
  const { entrants, absent } = lineup;
  const rounds = new Map<TargetName, Round[]>(entrants.map(({ target }) => [target.name, []]));
  const failed = new Set<TargetName>();
  progress.skip(absent.size * plan.rounds);
  for (let round = 0; round < plan.rounds; round++) {
    const first = round % entrants.length;
    for (const entrant of [...entrants.slice(first), ...entrants.slice(0, first)]) {
      const { name } = entrant.target;
      if (failed.has(name)) continue;
      progress.step(`${id}, round ${round + 1} of ${plan.rounds}, ${name}`);
      const shape: LoadShape = { load, connections, mode, seconds: plan.seconds };
      if (round === 0 || plan.warmEachRound) {
        await measureOnce(entrant, { ...shape, seconds: 1 }, cell.size);
      }
      const result = await measureOnce(entrant, shape, cell.size);
      rounds.get(name)?.push(result);
      if (result.failed === null) continue;
      failed.add(name);
      progress.skip(plan.rounds - round - 1);
      progress.note(`FAILED ${id}, ${name}: ${result.failed}`);
    }
  }
  const targets = plan.targets.map((name) =>
    summarize(name, rounds.get(name) ?? [], absent.has(name) ? "did not start" : null),
  );
  const [comparisons, surcharges] = [compare(targets), surchargesOf(targets)];
  return { id, group: groupOf(cell), cell, targets, comparisons, surcharges };
}

/** Runs all cells of the plan. What it started may still run if it throws: the caller stops everything then. */
export async function runCells(plan: Plan, folder: string, progress: Progress): Promise<CellResult[]> {
  const results: CellResult[] = [];
  const { targets, workers } = plan;
  for (const topology of ["loopback", "routed"] as const) {
    for (const origin of ["native", "nginx"] as const) {
      const cells = plan.cells.filter((cell) => cell.topology === topology && cell.origin === origin);
      if (cells.length === 0) continue;
      const own = join(folder, `${topology}-${origin}`);
      const lineup = await openLineup({ topology, origin, targets, workers, folder: own });
      for (const [name, why] of lineup.absent) progress.note(`FAILED to start ${name}: ${why}`);
      for (const cell of cells) results.push(await runCell(cell, plan, lineup, progress));
      await lineup.close();
    }
  }
  return results;
}
