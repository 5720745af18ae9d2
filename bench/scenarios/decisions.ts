/** What a decision costs, by policy and number of backends: the chain of policies alone, without servers. */
import { fileURLToPath } from "node:url";
import { builtinPolicies } from "../../policies/index.js";
import type { DecisionCost } from "../decisions/measure.js";
import { settingsOf } from "../decisions/settings.js";
import { runToEnd } from "../processes.js";
import { median } from "../stats.js";
import type { ScenarioContext, ScenarioResult } from "./scenario.js";

const program = fileURLToPath(new URL("../decisions/measure.ts", import.meta.url));
const counts = [16, 256];
const timeoutSeconds = 120;

const settings = builtinPolicies.flatMap(({ name }) =>
  settingsOf(name).map(({ variant, options }) => ({
    name,
    options,
    title: variant === undefined ? name : `${name}, ${variant}`,
  })),
);

interface Measured {
  readonly title: string;
  /** By round, then by number of backends. */
  readonly rounds: readonly DecisionCost[][];
}

export const decisionsSteps = (rounds: number): number => rounds * settings.length;

export async function runDecisions({ plan, progress }: ScenarioContext): Promise<ScenarioResult> {
  const raw: (Measured & { rounds: DecisionCost[][] })[] = settings.map(({ title }) => ({
    title,
    rounds: [],
  }));
  for (let round = 0; round < plan.rounds; round++) {
    for (const [index, { name, options, title }] of settings.entries()) {
      progress.step(`decisions, round ${round + 1} of ${plan.rounds}, ${title}`);
      const command = [
        process.execPath,
        "--import",
        "tsx",
        program,
        name,
        JSON.stringify(options ?? null),
      ] as const;
      const output = await runToEnd([...command, ...counts.map(String)], timeoutSeconds);
      raw[index]?.rounds.push(JSON.parse(output) as DecisionCost[]);
    }
  }
  return {
    name: "decisions",
    title: "Cost of a decision, 16 and 256 backends",
    failed: null,
    columns: ["policy", ...counts.flatMap((count) => [`p50 us, ${count}`, `p99 us, ${count}`])],
    rows: raw.map(({ title, rounds }) => [title, ...counts.flatMap((_, index) => cellsOf(rounds, index))]),
    notes: [
      "From request head to the end of the policy chain, which reads the clock twice for its own time limit. 200,000 decisions for 10,000 targets and clients in each round, each timed by itself, less what reading the clock takes; medians of the rounds. With warm caches, unlike in a busy proxy, and with a head whose text is JavaScript's already (`decision` has it all).",
    ],
    raw,
  };
}

function cellsOf(rounds: readonly DecisionCost[][], index: number): string[] {
  const of = (key: "p50" | "p99") =>
    median(rounds.map((costs) => costs[index]?.[key] ?? Number.NaN)).toFixed(2);
  return [of("p50"), of("p99")];
}
