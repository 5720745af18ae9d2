/** How long longsplice takes from a complete request head to the chosen backend, by policy. */
import { join } from "node:path";
import { type HistogramSnapshot, histogramSince, quantile } from "../../src/observe/snapshot.js";
import type { Round } from "../measure.js";
import { histogramOf, readMetrics } from "../metrics.js";
import { startOrigin, startTarget } from "../targets.js";
import { loadOnce } from "./pair.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";

const head = { name: "decision", title: "Decision time, four backends (128 B, keep-alive)" } as const;
const metric = "longsplice_decision_seconds";
const policies = ["round-robin", "least-connections", "power-of-two", "uri-hash"];
/** Four addresses of one origin: a pool in which there is something to choose. */
const hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];

interface Measured {
  readonly policy: string;
  readonly histogram: HistogramSnapshot;
  readonly round: Round;
}

async function measure(context: ScenarioContext, policy: string): Promise<Measured> {
  const { topology, folder, plan } = context;
  const own = join(folder, policy);
  const origin = await startOrigin("native", topology, own, hosts);
  const { workers } = plan;
  const target = await startTarget("longsplice", {
    topology,
    origins: origin.addresses,
    workers,
    folder: own,
    policy,
  });
  context.progress.step(`decision time, ${policy}`);
  const before = histogramOf(await readMetrics(target.admin), metric);
  const round = await loadOnce(plan.seconds, { topology, target, origin });
  const histogram = histogramSince(histogramOf(await readMetrics(target.admin), metric), before);
  await target.server?.stop();
  await origin.server.stop();
  return { policy, histogram, round };
}

export async function runDecision(context: ScenarioContext): Promise<ScenarioResult> {
  const raw: Measured[] = [];
  for (const policy of policies) raw.push(await measure(context, policy));
  const failed = raw.find(({ round }) => round.failed !== null);
  if (failed !== undefined) return failedScenario(head, `${failed.policy}: ${failed.round.failed}`, raw);
  const micros = (seconds: number | null) => ((seconds ?? Number.NaN) * 1e6).toFixed(2);
  return {
    ...head,
    failed: null,
    columns: ["policy", "decisions", "mean us", "p50 us", "p99 us"],
    rows: raw.map(({ policy, histogram }) => [
      policy,
      String(histogram.count),
      micros(histogram.sum / histogram.count),
      micros(quantile(histogram, 0.5)),
      micros(quantile(histogram, 0.99)),
    ]),
    notes: [
      "From the buckets of the proxy's own histogram, the warm-up included; inside of a bucket the decisions are taken to be spread evenly.",
    ],
    raw,
  };
}
