/** What policies make of a backend that others keep busy: the experiment of the load-balanced DNS. */
import { timePlot } from "../surge/plots.js";
import type { PhaseReport } from "../surge/protocol.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";
import { type Contender, failureOfPhase, type Origins, origins, runSurge, startOrigins } from "./surge.js";

const files = 500;
const largest = 64 * 1024;
/** More than all files have: here only the processors count. */
const cacheBytes = 64 * 1024 * 1024;
const serviceMillis = 10;
const users = 96;
const offScale = 0.1;
/** Of the processor of the first origin. */
const extra = 0.7;

const policies: readonly Contender[] = [
  { name: "round-robin" },
  { name: "random" },
  { name: "least-connections" },
  { name: "peak-ewma" },
  { name: "inverse-load", byReports: true },
  { name: "least-load", byReports: true },
  // By reports alone it runs after them; what is in flight is news that no report has.
  { name: "least-load", options: "{ metric: cpu }", byReports: true },
];
const labelOf = ({ name, options }: Contender) => (options === undefined ? name : `${name}, cpu alone`);

export const extraLoadSteps = (): number => policies.length;

interface Measured {
  readonly policy: string;
  readonly phases: readonly PhaseReport[];
}

/** Without extra load, with it, and without it again. */
async function measure(context: ScenarioContext, behind: Origins, contender: Contender): Promise<Measured> {
  const part = context.plan.seconds;
  const taken = (share: number) => [`http://${behind.addresses[0]}/taken/${share}`];
  const report = await runSurge(context, behind, contender, {
    site: { seed: 1, files, largest },
    users,
    offScale,
    phases: [
      { puts: taken(0), length: "warm-up" },
      { length: part },
      { puts: taken(extra), length: 3 * part },
      { puts: taken(0), length: part },
    ],
  });
  return { policy: labelOf(contender), phases: report.phases };
}

export async function runExtraLoad(context: ScenarioContext): Promise<ScenarioResult> {
  const behind = await startOrigins({ cacheBytes, serviceMillis });
  const measured: Measured[] = [];
  for (const contender of policies) {
    context.progress.step(`extra load, ${labelOf(contender)}`);
    measured.push(await measure(context, behind, contender));
  }
  await behind.stop();
  return resultOf(measured);
}

/** Answers of each origin by whole seconds: the last second of a phase is not one. */
const wholeSeconds = ({ bySecond, seconds }: PhaseReport) => bySecond.slice(0, Math.floor(seconds));

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The standard deviation of what an origin answers in a second, divided by the mean; on average of those without extra load. */
function scatterOf(phase: PhaseReport): number {
  const rows = wholeSeconds(phase);
  const scatters = Array.from({ length: origins - 1 }, (_, index) => {
    const values = rows.map((row) => row[index + 1] ?? 0);
    const middle = mean(values);
    return Math.sqrt(mean(values.map((value) => (value - middle) ** 2))) / middle;
  });
  return mean(scatters);
}

function rowOf(policy: string, before: PhaseReport, during: PhaseReport): string[] {
  const loaded = during.bySecond.reduce((sum, row) => sum + (row[0] ?? 0), 0);
  const rate = ({ requests, seconds }: PhaseReport) => (requests / seconds).toFixed(0);
  return [
    policy,
    rate(before),
    rate(during),
    ((100 * loaded) / during.requests).toFixed(1),
    during.delay.mean.toFixed(1),
    (during.delay.variance / 1e6).toFixed(4),
    during.delay.p99.toFixed(0),
    (100 * scatterOf(during)).toFixed(0),
  ];
}

function plotOf({ policy, phases }: Measured): string {
  const [, before, during, after] = phases;
  const parts = [before, during, after].map((phase) => (phase === undefined ? [] : wholeSeconds(phase)));
  const rows = parts.flat();
  const values = (origin: number) => rows.map((row) => row[origin] ?? 0);
  const others = Array.from({ length: origins - 1 }, (_, index) => ({
    kind: "usual" as const,
    values: values(index + 1),
  }));
  const special = { kind: "special" as const, values: values(0) };
  const from = parts[0]?.length ?? 0;
  const to = from + (parts[1]?.length ?? 0);
  return timePlot(
    {
      title: `Requests by origin: ${policy}`,
      subtitle: `${origins} origins, ${users} users; others take ${100 * extra} % of one origin's processor for a while`,
      xLabel: "seconds",
      yLabel: "requests per second",
    },
    [...others, special],
    { special: "the origin with extra load", usual: "the others" },
    { from, to, label: "extra load" },
  );
}

function resultOf(measured: readonly Measured[]): ScenarioResult {
  const head = {
    name: "extra-load",
    title: `Extra load on one of ${origins} origins, ${users} users`,
  } as const;
  const rows: string[][] = [];
  for (const { policy, phases } of measured) {
    const failed = phases.map(failureOfPhase).find((why) => why !== null);
    const [, before, during] = phases;
    if (failed !== undefined || before === undefined || during === undefined) {
      return failedScenario(head, `${policy}: ${failed}`, measured);
    }
    rows.push(rowOf(policy, before, during));
  }
  return {
    ...head,
    failed: null,
    columns: [
      "policy",
      "requests/s without it",
      "with it",
      "share of that origin %",
      "delay: mean ms",
      "variance s^2",
      "p99 ms",
      "scatter of the others %",
    ],
    rows,
    notes: [
      `Each origin has a made-up processor that needs ${serviceMillis} ms for a request, one at a time. Others have ${100 * extra} % of one origin's while the load is on it: it is that much slower. Origins report the use of their processors in each response (\`endpoint-load-metrics\`). SURGE load, a closed loop, all OFF times times ${offScale}. One measurement by policy; delay and scatter are those while the load is on.`,
      "Scatter is the standard deviation of an origin's requests by second, divided by their mean: a policy that runs after the load swings, and its scatter is large. The plots show it.",
    ],
    raw: measured,
    plots: Object.fromEntries(measured.map((one) => [one.policy.replace(/\W+/g, "-"), plotOf(one)])),
  };
}
