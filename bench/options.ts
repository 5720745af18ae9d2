/** The command line of the bench. */
import { Command, InvalidArgumentError, Option } from "commander";
import {
  allCells,
  type Cell,
  cellId,
  matches,
  packetScenarios,
  quickCells,
  type ScenarioName,
  scenarioNames,
  type TargetName,
  targetNames,
} from "./cells.js";
import type { TopologyName } from "./topology.js";

export interface Plan {
  readonly cells: readonly Cell[];
  readonly scenarios: readonly ScenarioName[];
  readonly targets: readonly TargetName[];
  /** Measurements of each target in each cell. */
  readonly rounds: number;
  /** Length of one measurement, in seconds. */
  readonly seconds: number;
  /** Whether a second of load that does not count precedes every measurement, or only the first of a cell. */
  readonly warmEachRound: boolean;
  /** Threads of each proxy. */
  readonly workers: number;
  readonly quick: boolean;
  /** Part of the names of the result files; null: a quick run that leaves nothing in bench/results. */
  readonly what: string | null;
}

interface Flags {
  quick?: true;
  only?: string;
  rounds?: number;
  seconds?: number;
  connections?: number;
  workers: number;
  topology: TopologyName | "all";
  what?: string;
}

function atLeastOne(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError("must be 1, 2, 3, ...");
  return number;
}

function fileName(text: string): string {
  if (!/^[\w.-]+$/.test(text))
    throw new InvalidArgumentError("must be made of letters, digits, '.', '_', '-'");
  return text;
}

function program(): Command {
  return new Command("npm run bench --")
    .description(
      "Measure longsplice beside a direct connection, HAProxy and nginx; docs/benchmarking.md explains.",
    )
    .option("--quick", "few cells, short rounds: done in two minutes, results in a temporary folder")
    .option("--only <pattern>", "only cells and scenarios whose name contains it; * stands for anything")
    .option(
      "--rounds <number>",
      "measurements of each target in each cell (default: 5, quick: 3)",
      atLeastOne,
    )
    .option("--seconds <number>", "length of one measurement (default: 4, quick: 1)", atLeastOne)
    .option(
      "--connections <number>",
      "that the load keeps busy (default: 64, with 1 MB 16; packet: 32)",
      atLeastOne,
    )
    .option("--workers <number>", "threads of each proxy", atLeastOne, 1)
    .addOption(new Option("--topology <name>", "where").choices(["loopback", "routed", "all"]).default("all"))
    .option("--what <name>", "name of the results (default: full)", fileName);
}

/** What the arguments ask for. Ends the process, with a message, if they are wrong or match nothing. */
export function parsePlan(args: readonly string[], isRoot: boolean): Plan {
  const command = program();
  const flags = command.parse(args, { from: "user" }).opts<Flags>();
  const quick = flags.quick === true;
  const wanted = (id: string) => flags.only === undefined || matches(id, flags.only);
  // Whoever names cells gets them also in a quick run: then only the rounds are short.
  const programme = quick && flags.only === undefined ? quickCells() : allCells();
  const cells = programme
    .filter((cell) => wanted(cellId(cell)) && (flags.topology === "all" || cell.topology === flags.topology))
    .map((cell) => ({ ...cell, connections: flags.connections ?? cell.connections }));
  const loopback = flags.topology !== "routed";
  const possible = (name: ScenarioName) => isRoot || !packetScenarios.includes(name);
  const scenarios = scenarioNames.filter(
    (name) => loopback && wanted(name) && possible(name) && (!quick || flags.only !== undefined),
  );
  if (cells.length + scenarios.length === 0) {
    command.error(
      `nothing matches. There are:\n${[...allCells().map(cellId), ...scenarioNames].map((id) => `  ${id}`).join("\n")}`,
    );
  }
  return {
    cells,
    scenarios,
    // The packet engine needs rights that only root has.
    targets: targetNames.filter((name) => isRoot || name !== "splice"),
    rounds: flags.rounds ?? (quick ? 3 : 5),
    seconds: flags.seconds ?? (quick ? 1 : 4),
    warmEachRound: !quick,
    workers: flags.workers,
    quick,
    what: flags.what ?? (quick ? null : "full"),
  };
}
