/** One worker against two. */
import type { Round } from "../measure.js";
import { median, ratio } from "../stats.js";
import { measurePair } from "./pair.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";

const head = { name: "workers", title: "Two workers against one (128 B, keep-alive)" } as const;

/** Cores that something used in a measurement, on average. */
const coresOf = (rounds: readonly Round[], read: (round: Round) => number): number =>
  median(rounds.map((round) => read(round) / round.seconds));

const machineShare = (rounds: readonly Round[]): number =>
  median(rounds.map(({ cpu }) => (cpu.busy + cpu.steal) / cpu.total));

/** A machine that is this busy has nothing left for a faster proxy. */
const exhausted = 0.95;

/**
 * What the figures can prove. Scaling shows only while cores are free for everybody: on an exhausted machine the
 * second worker takes its time from the load generator and the origin.
 */
export function verdict(one: readonly Round[], two: readonly Round[]): string {
  const [shareOne, shareTwo] = [machineShare(one), machineShare(two)];
  const proxyOne = coresOf(one, ({ cpu }) => cpu.proxy);
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  if (shareTwo < exhausted && proxyOne > 0.9) {
    return `A measurement of scaling: the one worker was busy all the time (${proxyOne.toFixed(2)} cores), and with two the machine still had time to spare (${percent(shareTwo)} busy), so neither load generator nor origin was starved.`;
  }
  if (shareTwo < exhausted) {
    return `Not a measurement of scaling: the one worker was busy for only ${proxyOne.toFixed(2)} cores, so something else set the pace.`;
  }
  return `Not a measurement of scaling: with two workers the machine was ${percent(shareTwo)} busy (with one ${percent(shareOne)}), so load generator, origin and proxy took time from each other, and the ratio is a lower bound. What two workers cost is in the column of the proxy's CPU time by request: while it stays the same, work is neither lost nor done twice.`;
}

export async function runWorkers(context: ScenarioContext): Promise<ScenarioResult> {
  const pair = await measurePair(context, [
    { label: "1 worker", workers: 1 },
    { label: "2 workers", workers: 2 },
  ]);
  if (pair.failed !== null) return failedScenario(head, pair.failed, pair);
  const row = (label: string, rounds: readonly Round[]) => {
    const cores = (read: (round: Round) => number) => coresOf(rounds, read).toFixed(2);
    return [
      label,
      median(rounds.map(({ requestsPerSecond }) => requestsPerSecond)).toFixed(0),
      median(rounds.map(({ cpu, requests }) => (cpu.proxy / requests) * 1e6)).toFixed(1),
      cores(({ cpu }) => cpu.proxy),
      cores(({ cpu }) => cpu.origin),
      cores(({ cpuSeconds }) => cpuSeconds ?? Number.NaN),
      `${(machineShare(rounds) * 100).toFixed(0)} %`,
    ];
  };
  const perSecond = (rounds: readonly Round[]) => rounds.map(({ requestsPerSecond }) => requestsPerSecond);
  const scaling = ratio(perSecond(pair.second), perSecond(pair.first));
  const spread = `${scaling.q1.toFixed(2)} to ${scaling.q3.toFixed(2)}`;
  return {
    ...head,
    failed: null,
    columns: [
      "workers",
      "requests/s",
      "proxy CPU us/request",
      "proxy cores",
      "origin cores",
      "wrk cores",
      "machine busy",
    ],
    rows: [row("1", pair.first), row("2", pair.second)],
    notes: [
      `Two workers: ${scaling.ofMedians.toFixed(2)} x one (quartiles of the rounds ${spread}).`,
      verdict(pair.first, pair.second),
    ],
    raw: { ...pair, scaling },
  };
}
