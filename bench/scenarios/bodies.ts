/** For which sizes of bodies another engine than copying is worth it. */
import { join } from "node:path";
import { sizeText } from "../cells.js";
import type { Round } from "../measure.js";
import { labelledValues, readMetrics } from "../metrics.js";
import { median, type Ratio, ratio } from "../stats.js";
import { measurePair, type Pair } from "./pair.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";

const KB = 1024;
const connections = 16;
/** So little that all of the sizes go to the engine, but for what comes together with a head. */
const from = "8KiB";

interface Contest {
  readonly engine: "pipe" | "sockmap";
  /** Of bodies, in kilobytes. */
  readonly sizes: readonly number[];
}

const pipe: Contest = { engine: "pipe", sizes: [16, 32, 64, 128, 256, 1024, 8192] };
const sockmap: Contest = { engine: "sockmap", sizes: [16, 64, 128, 256, 1024] };

const headOf = ({ engine }: Contest) => ({
  name: engine,
  title: `Copying against ${engine}, by the size of the body (${connections} connections, keep-alive)`,
});

const stepsOf =
  ({ sizes }: Contest) =>
  (rounds: number): number =>
    2 * sizes.length * rounds;
export const pipeSteps = stepsOf(pipe);
export const sockmapSteps = stepsOf(sockmap);

interface Measured extends Pair {
  readonly size: number;
  /** The part of the bytes that the engine moved. */
  readonly share: number;
}

const proxyMicros = ({ cpu, requests }: Round): number => (cpu.proxy / requests) * 1e6;

async function measure(context: ScenarioContext, engine: Contest["engine"], size: number): Promise<Measured> {
  const { workers } = context.plan;
  const label = sizeText(size);
  const own = { ...context, folder: join(context.folder, `${size}`) };
  let share = 0;
  const pair = await measurePair(
    own,
    [
      { label: `${label}, copy`, workers },
      { label: `${label}, ${engine}`, workers, bodies: { engine, from } },
    ],
    async ({ admin }, setting) => {
      if (setting.bodies !== undefined) share = shareOf(engine, await readMetrics(admin));
    },
    { connections, size },
  );
  return { ...pair, size, share };
}

function shareOf(engine: string, metrics: string): number {
  const bytes = labelledValues(metrics, "longsplice_forwarded_bytes_total");
  const downstream = (by: string) => bytes[`engine="${by}",direction="downstream"`] ?? 0;
  return downstream(engine) / (downstream(engine) + downstream("copy"));
}

export const runPipe = (context: ScenarioContext) => run(context, pipe);
export const runSockmap = (context: ScenarioContext) => run(context, sockmap);

async function run(context: ScenarioContext, contest: Contest): Promise<ScenarioResult> {
  const { engine, sizes } = contest;
  const head = headOf(contest);
  const raw: Measured[] = [];
  for (const kilobytes of sizes) raw.push(await measure(context, engine, kilobytes * KB));
  const failed = raw.find((one) => one.failed !== null);
  if (failed !== undefined) return failedScenario(head, `${sizeText(failed.size)}: ${failed.failed}`, raw);
  return {
    ...head,
    failed: null,
    columns: [
      "body",
      `through ${engine}`,
      "requests/s: copy",
      engine,
      "ratio",
      "proxy CPU us/request: copy",
      engine,
      "ratio",
      "machine CPU us/request: copy",
      engine,
      "ratio",
    ],
    rows: raw.map((one) => [
      sizeText(one.size),
      `${(one.share * 100).toFixed(0)} %`,
      ...columnsOf(one, ({ requestsPerSecond }) => requestsPerSecond, 0),
      ...columnsOf(one, proxyMicros, 1),
      ...columnsOf(one, ({ cpuMicros }) => cpuMicros, 1),
    ]),
    notes: [
      `The ratios are ${engine} to copy; in parentheses the quartiles of the rounds. \`${engine}From\` was ${from}, so that smaller bodies than by default went that way.`,
      "The CPU of the proxy is user and system time of its process. On loopback the system time of a sender includes the receiver's TCP and the freeing of what a receiver has read, so the columns of the whole machine count where the two disagree.",
    ],
    raw,
  };
}

function columnsOf({ first, second }: Pair, read: (round: Round) => number, digits: number): string[] {
  const [copy, other] = [first.map(read), second.map(read)];
  const text = ({ ofMedians, q1, q3 }: Ratio) =>
    `${ofMedians.toFixed(2)} (${q1.toFixed(2)}-${q3.toFixed(2)})`;
  return [median(copy).toFixed(digits), median(other).toFixed(digits), text(ratio(other, copy))];
}
