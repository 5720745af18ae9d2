/** Runs the cells: all targets side by side, measured in turns. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  type Cell,
  cellId,
  connectionsOf,
  groupOf,
  type OriginName,
  type TargetName,
  targetNames,
} from "./cells.js";
import type { LoadOptions } from "./load/load.js";
import { measureOnce, type Round } from "./measure.js";
import type { Plan } from "./options.js";
import type { Progress } from "./progress.js";
import { median, type Ratio, ratio } from "./stats.js";
import { type Origin, startOrigin, startTarget, type Target } from "./targets.js";
import { openTopology, type Topology } from "./topology.js";

/** The measurements of one target in a cell. */
export interface TargetResult {
  readonly target: TargetName;
  /** Why there is no number to report, or null. */
  readonly failed: string | null;
  readonly medians: Pick<Round, "requestsPerSecond" | "p50Micros" | "p99Micros" | "cpuMicros"> | null;
  /** Every measurement as it came, also of a target that failed. */
  readonly rounds: readonly Round[];
}

/** longsplice compared with another target of the same cell. */
export interface Comparison {
  readonly with: TargetName;
  readonly requestsPerSecond: Ratio;
  readonly cpuMicros: Ratio;
}

export interface CellResult {
  readonly id: string;
  readonly group: string;
  readonly cell: Cell;
  readonly connections: number;
  readonly targets: readonly TargetResult[];
  /** Of longsplice with each other target; empty where either failed. */
  readonly comparisons: readonly Comparison[];
}

/** Turns the rounds of a target into what is reported; null for a failed one: no number stands for it. */
export function summarize(target: TargetName, rounds: readonly Round[]): TargetResult {
  const failed = rounds.find((round) => round.failed !== null)?.failed ?? null;
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

/** longsplice against each other target that has as many good rounds. */
export function compare(results: readonly TargetResult[]): Comparison[] {
  const ours = results.find(({ target }) => target === "longsplice");
  if (ours === undefined || ours.failed !== null) return [];
  const values = (result: TargetResult, key: "requestsPerSecond" | "cpuMicros") =>
    result.rounds.map((round) => round[key]);
  return results
    .filter((result) => result !== ours && result.failed === null)
    .map((other) => ({
      with: other.target,
      requestsPerSecond: ratio(values(ours, "requestsPerSecond"), values(other, "requestsPerSecond")),
      cpuMicros: ratio(values(ours, "cpuMicros"), values(other, "cpuMicros")),
    }));
}

/** Measures a cell round by round; each round begins with another target, so that none is always first or last. */
async function runCell(
  cell: Cell,
  plan: Plan,
  topology: Topology,
  origin: Origin,
  targets: readonly Target[],
  progress: Progress,
): Promise<CellResult> {
  const id = cellId(cell);
  const rounds = new Map<TargetName, Round[]>(targets.map(({ name }) => [name, []]));
  const failed = new Set<TargetName>();
  for (let round = 0; round < plan.rounds; round++) {
    const first = round % targets.length;
    for (const target of [...targets.slice(first), ...targets.slice(0, first)]) {
      if (failed.has(target.name)) continue;
      progress.step(`${id}, round ${round + 1} of ${plan.rounds}, ${target.name}`);
      const load: LoadOptions = {
        load: cell.load,
        addresses: target.addresses,
        path: `/${cell.size}`,
        connections: connectionsOf(cell),
        mode: cell.mode,
        seconds: plan.seconds,
      };
      const servers = { proxy: target.server, origin: origin.server };
      if (round === 0 || plan.warmEachRound) {
        await measureOnce(topology, { ...load, seconds: 1 }, cell.size, servers);
      }
      const result = await measureOnce(topology, load, cell.size, servers);
      rounds.get(target.name)?.push(result);
      if (result.failed === null) continue;
      failed.add(target.name);
      progress.skip(plan.rounds - round - 1);
      progress.note(`FAILED ${id}, ${target.name}: ${result.failed}`);
    }
  }
  const results = targets.map(({ name }) => summarize(name, rounds.get(name) ?? []));
  const connections = connectionsOf(cell);
  return { id, group: groupOf(cell), cell, connections, targets: results, comparisons: compare(results) };
}

/** Starts an origin and all targets, measures the cells that need just these, and stops them. */
async function runTogether(
  cells: readonly Cell[],
  plan: Plan,
  topology: Topology,
  originName: OriginName,
  folder: string,
  progress: Progress,
): Promise<CellResult[]> {
  mkdirSync(folder, { recursive: true });
  const origin = await startOrigin(originName, topology, folder);
  const targets: Target[] = [];
  for (const name of targetNames) {
    // A proxy has one backend; what goes to the origin directly uses both of its addresses, as clients do.
    const origins = name === "direct" ? origin.addresses : origin.addresses.slice(0, 1);
    targets.push(await startTarget(name, { topology, origins, workers: plan.workers, folder }));
  }
  const results: CellResult[] = [];
  for (const cell of cells) {
    results.push(await runCell(cell, plan, topology, origin, targets, progress));
  }
  for (const { server } of targets) await server?.stop();
  await origin.server.stop();
  return results;
}

/** Runs all cells of the plan. What it started may still run if it throws: the caller stops everything then. */
export async function runCells(plan: Plan, folder: string, progress: Progress): Promise<CellResult[]> {
  const results: CellResult[] = [];
  for (const topologyName of ["loopback", "routed"] as const) {
    for (const origin of ["native", "nginx"] as const) {
      const cells = plan.cells.filter((cell) => cell.topology === topologyName && cell.origin === origin);
      if (cells.length === 0) continue;
      const topology = await openTopology(topologyName);
      const own = join(folder, `${topologyName}-${origin}`);
      results.push(...(await runTogether(cells, plan, topology, origin, own, progress)));
      await topology.close();
    }
  }
  return results;
}
