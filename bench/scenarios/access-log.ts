/** What the access log costs: off against JSON to a file. */
import { closeSync, fstatSync, ftruncateSync, openSync } from "node:fs";
import { join } from "node:path";
import { metricValue, readMetrics } from "../metrics.js";
import { median, ratio } from "../stats.js";
import { measurePair } from "./pair.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";

const head = {
  name: "accesslog",
  title: "Access log: off against JSON to a file (128 B, keep-alive)",
} as const;

export async function runAccessLog(context: ScenarioContext): Promise<ScenarioResult> {
  const file = openSync(join(context.folder, "access.log"), "a");
  let [dropped, written] = [0, 0];
  const { workers } = context.plan;
  const pair = await measurePair(
    context,
    [
      { label: "access log off", workers, accessLog: "off" },
      { label: "access log json", workers, accessLog: "json", stdout: file },
    ],
    async ({ admin }, { accessLog }) => {
      if (accessLog !== "json") return;
      dropped = metricValue(await readMetrics(admin), "longsplice_log_dropped_total");
      written += fstatSync(file).size;
      // Hundreds of bytes for each request add up; the file is in append mode, so it goes on at its new end.
      ftruncateSync(file);
    },
  );
  closeSync(file);
  if (pair.failed !== null) return failedScenario(head, pair.failed, pair);
  const perSecond = (rounds: typeof pair.first) => rounds.map(({ requestsPerSecond }) => requestsPerSecond);
  const kept = ratio(perSecond(pair.second), perSecond(pair.first));
  const loss = (share: number) => `${((1 - share) * 100).toFixed(1)} %`;
  const row = (label: string, rounds: typeof pair.first) => [
    label,
    median(perSecond(rounds)).toFixed(0),
    median(rounds.map(({ cpuMicros }) => cpuMicros)).toFixed(1),
  ];
  return {
    ...head,
    failed: null,
    columns: ["access log", "requests/s", "CPU us/request"],
    rows: [row("off", pair.first), row("json", pair.second)],
    notes: [
      `Loss: ${loss(kept.ofMedians)} (quartiles of the rounds ${loss(kept.q3)} to ${loss(kept.q1)}).`,
      `Lines that were dropped instead of written: ${dropped}. The log is only as cheap as the figures say if that is 0.`,
      `Written: ${(written / 1e6).toFixed(0)} MB.`,
    ],
    raw: { ...pair, kept, dropped, written },
  };
}
