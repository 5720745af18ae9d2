/** From which size on bodies are worth a pipe. */
import { join } from "node:path";
import { sizeText } from "../cells.js";
import type { Round } from "../measure.js";
import { labelledValues, readMetrics } from "../metrics.js";
import { median, ratio, ratioText } from "../stats.js";
import { measurePair, type Pair } from "./pair.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";

const KB = 1024;
const sizes = [16, 32, 64, 128, 256, 1024, 8192].map((kilobytes) => kilobytes * KB);
const connections = 16;
/** So little that all of the sizes go through pipes, but for what comes together with a head. */
const pipeFrom = "8KiB";
const head = {
  name: "pipe",
  title: `Copying against pipes, by the size of the body (${connections} connections, keep-alive)`,
} as const;

export const pipeSteps = (rounds: number): number => 2 * sizes.length * rounds;

interface Measured extends Pair {
  readonly size: number;
  /** The part of the bytes that went through pipes. */
  readonly piped: number;
}

const proxyMicros = ({ cpu, requests }: Round): number => (cpu.proxy / requests) * 1e6;

async function measure(context: ScenarioContext, size: number): Promise<Measured> {
  const { workers } = context.plan;
  const label = sizeText(size);
  const own = { ...context, folder: join(context.folder, `${size}`) };
  let piped = 0;
  const pair = await measurePair(
    own,
    [
      { label: `${label}, copy`, workers },
      { label: `${label}, pipe`, workers, pipeFrom },
    ],
    async ({ admin }, setting) => {
      if (setting.pipeFrom !== undefined) piped = pipedShare(await readMetrics(admin));
    },
    { connections, size },
  );
  return { ...pair, size, piped };
}

function pipedShare(metrics: string): number {
  const bytes = labelledValues(metrics, "longsplice_forwarded_bytes_total");
  const downstream = (engine: string) => bytes[`engine="${engine}",direction="downstream"`] ?? 0;
  return downstream("pipe") / (downstream("pipe") + downstream("copy"));
}

export async function runPipe(context: ScenarioContext): Promise<ScenarioResult> {
  const raw: Measured[] = [];
  for (const size of sizes) raw.push(await measure(context, size));
  const failed = raw.find((one) => one.failed !== null);
  if (failed !== undefined) return failedScenario(head, `${sizeText(failed.size)}: ${failed.failed}`, raw);
  return {
    ...head,
    failed: null,
    columns: [
      "body",
      "through pipes",
      "requests/s: copy",
      "pipe",
      "ratio",
      "proxy CPU us/request: copy",
      "pipe",
      "ratio",
      "machine CPU us/request: copy",
      "pipe",
      "ratio",
    ],
    rows: raw.map((one) => [
      sizeText(one.size),
      `${(one.piped * 100).toFixed(0)} %`,
      ...columnsOf(one, ({ requestsPerSecond }) => requestsPerSecond, 0),
      ...columnsOf(one, proxyMicros, 1),
      ...columnsOf(one, ({ cpuMicros }) => cpuMicros, 1),
    ]),
    notes: [
      `The ratios are pipe to copy; in parentheses the quartiles of the rounds. \`pipeFrom\` was ${pipeFrom}, so that smaller bodies than by default went through pipes.`,
      "The CPU of the proxy is user and system time of its process. On loopback the system time of a sender includes the receiver's TCP and the freeing of what a receiver has read, so the columns of the whole machine count where the two disagree.",
    ],
    raw,
  };
}

function columnsOf({ first, second }: Pair, read: (round: Round) => number, digits: number): string[] {
  const [copy, pipe] = [first.map(read), second.map(read)];
  return [median(copy).toFixed(digits), median(pipe).toFixed(digits), ratioText(ratio(pipe, copy))];
}
