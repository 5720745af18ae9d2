/** What a decision costs, by policy and number of backends: the chain of policies alone, without servers. */
import { fileURLToPath } from "node:url";
import { builtinPolicies } from "../../policies/index.js";
import type { DecisionCost } from "../decisions/measure.js";
import { settingsOf } from "../decisions/settings.js";
import { runToEnd } from "../processes.js";
import { median } from "../stats.js";
import type { ScenarioContext, ScenarioResult } from "./scenario.js";

const program = fileURLToPath(new URL("../decisions/measure.ts", import.meta.url));
/** Numbers of backends, and what a decision among them is wanted to take at most, in microseconds. */
const wanted = [
  { count: 16, p50: 1, p99: 5 },
  { count: 256, p50: 3, p99: Number.POSITIVE_INFINITY },
];
const counts = wanted.map(({ count }) => count);
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
    columns: ["policy", ...counts.flatMap((count) => [`p50 us, ${count}`, `p99 us, ${count}`]), "as wanted"],
    rows: raw.map(({ title, rounds }) => [
      title,
      ...counts.flatMap((_, index) => costsOf(rounds, index).map((micros) => micros.toFixed(2))),
      wanted.every(({ p50, p99 }, index) => {
        const [half, most] = costsOf(rounds, index);
        return half <= p50 && most <= p99;
      })
        ? "yes"
        : "no",
    ]),
    notes: [
      "Wanted: p50 of 1 us and p99 of 5 us at most with 16 backends, p50 of 3 us with 256.",
      "From request head to the end of the policy chain, which reads the clock twice for its own time limit. 200,000 decisions for 10,000 targets and clients in each round, each timed by itself, less what reading the clock takes; medians of the rounds. With warm caches, unlike in a busy proxy, and with a head whose text is JavaScript's already (`decision` has it all).",
    ],
    raw,
  };
}

/** p50 and p99. */
function costsOf(rounds: readonly DecisionCost[][], index: number): [number, number] {
  const of = (key: "p50" | "p99") => median(rounds.map((costs) => costs[index]?.[key] ?? Number.NaN));
  return [of("p50"), of("p99")];
}
