/** What it is worth to send the same URL to the same backend, when a cache does not hold everything. */
import { median, quantile, ratio, ratioText } from "../stats.js";
import { barPlot } from "../surge/plots.js";
import type { PhaseReport } from "../surge/protocol.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";
import { type Contender, failureOfPhase, type Origins, origins, runSurge, startOrigins } from "./surge.js";

const files = 2000;
const largest = 2 * 1024 * 1024;
/** About a sixth of what all files have: one cache is far too small, all of them together have a third to spare. */
const cacheBytes = 14 * 1024 * 1024;
const users = 256;
/** Seconds of the paper become hundredths, so that few users and a short time are a load. */
const offScale = 0.01;

const policies: readonly Contender[] = [
  { name: "round-robin" },
  { name: "random" },
  { name: "least-connections" },
  { name: "uri-hash" },
  { name: "lard" },
  { name: "lard-replicated" },
  { name: "hybrid" },
];
const reference = "round-robin";

/** More would not fit into the few minutes that a scenario may have. */
const roundsOf = (rounds: number) => Math.min(rounds, 3);
export const localitySteps = (rounds: number): number => policies.length * roundsOf(rounds);

interface Measured {
  readonly policy: string;
  readonly rounds: readonly PhaseReport[];
}

async function measure(
  context: ScenarioContext,
  behind: Origins,
  policy: Contender,
  round: number,
): Promise<PhaseReport> {
  const { phases } = await runSurge(context, behind, policy, {
    // Each round has a site of its own, the same for all policies.
    site: { seed: round + 1, files, largest },
    users,
    offScale,
    phases: [
      { puts: behind.addresses.map((address) => `http://${address}/empty`), length: "warm-up" },
      { length: 2 * context.plan.seconds },
    ],
  });
  const [warmUp, main] = phases;
  if (warmUp === undefined || main === undefined) throw new Error("the load generator left out a phase");
  return { ...main, errors: { ...warmUp.errors, ...main.errors } };
}

export async function runLocality(context: ScenarioContext): Promise<ScenarioResult> {
  const { plan, progress } = context;
  const behind = await startOrigins({ cacheBytes, serviceMillis: 0 });
  const results = new Map<Contender, PhaseReport[]>(policies.map((policy) => [policy, []]));
  const rounds = roundsOf(plan.rounds);
  for (let round = 0; round < rounds; round++) {
    const first = round % policies.length;
    for (const policy of [...policies.slice(first), ...policies.slice(0, first)]) {
      progress.step(`locality, round ${round + 1} of ${rounds}, ${policy.name}`);
      results.get(policy)?.push(await measure(context, behind, policy, round));
    }
  }
  await behind.stop();
  const measured = [...results].map(([{ name }, all]) => ({ policy: name, rounds: all }));
  return resultOf(measured, 2 * plan.seconds);
}

const rateOf = ({ requests, seconds }: PhaseReport) => requests / seconds;
const medianOf = (rounds: readonly PhaseReport[], figure: (round: PhaseReport) => number) =>
  median(rounds.map(figure));

function rowOf({ policy, rounds }: Measured, base: readonly PhaseReport[]): string[] {
  const of = (figure: (round: PhaseReport) => number) => medianOf(rounds, figure);
  return [
    policy,
    of(rateOf).toFixed(0),
    ratioText(ratio(rounds.map(rateOf), base.map(rateOf))),
    (100 * of(({ hits, requests }) => hits / requests)).toFixed(1),
    of(({ delay }) => delay.mean).toFixed(1),
    (of(({ delay }) => delay.variance) / 1e6).toFixed(4),
    of(({ delay }) => delay.p99).toFixed(0),
  ];
}

function resultOf(measured: readonly Measured[], seconds: number): ScenarioResult {
  const head = {
    name: "locality",
    title: `Locality: ${origins} origins with a cache of ${cacheBytes / 2 ** 20} MB each over a slow store, ${users} users`,
  } as const;
  for (const { policy, rounds } of measured) {
    const failed = rounds.map(failureOfPhase).find((why) => why !== null);
    if (failed !== undefined) return failedScenario(head, `${policy}: ${failed}`, measured);
  }
  const base = measured.find(({ policy }) => policy === reference)?.rounds ?? [];
  const bars = measured.map(({ policy, rounds }) => {
    const rates = rounds.map(rateOf);
    const hits = 100 * medianOf(rounds, (round) => round.hits / round.requests);
    return {
      label: policy,
      note: `${hits.toFixed(0)} % hits`,
      value: median(rates),
      q1: quantile(rates, 0.25),
      q3: quantile(rates, 0.75),
    };
  });
  return {
    ...head,
    failed: null,
    columns: [
      "policy",
      "requests/s",
      `to ${reference}`,
      "hits %",
      "delay: mean ms",
      "variance s^2",
      "p99 ms",
    ],
    rows: measured.map((one) => rowOf(one, base)),
    notes: [
      `SURGE load: ${files} files of up to ${largest / 2 ** 20} MB, about six times as much as one cache holds; all OFF times times ${offScale}; a closed loop, so slower answers mean fewer requests. Each measurement has ${seconds} s, after a pass over the whole site that fills the caches.`,
      "The store is made up: it costs what a disk of 1998 would (28 ms for each file, and more for large ones), one file at a time at each origin. So the ratios show what locality is worth where a miss is dear; the requests/s are none that longsplice is limited to.",
      "Delay is from a request to the last byte of its answer.",
    ],
    raw: measured,
    plots: {
      throughput: barPlot(
        {
          title: "Requests per second by policy",
          subtitle: `${origins} caches, each a sixth of the site; medians, whiskers: quartiles of the rounds`,
          xLabel: "policy, and answers that came from a cache",
          yLabel: "requests per second",
        },
        bars,
      ),
    },
  };
}
