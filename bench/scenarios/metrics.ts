/** Reads longsplice's own metrics. */
import type { HistogramSnapshot } from "../../src/observe/snapshot.js";

/** @param admin host:port @returns the Prometheus text */
export async function readMetrics(admin: string): Promise<string> {
  const response = await fetch(`http://${admin}/metrics`);
  if (!response.ok) throw new Error(`/metrics answered ${response.status}`);
  return response.text();
}

/** The value of a metric without labels. @throws Error if it is not there */
export function metricValue(metrics: string, name: string): number {
  const value = new RegExp(`^${name} (\\S+)$`, "m").exec(metrics)?.[1];
  if (value === undefined) throw new Error(`there is no metric ${name}`);
  return Number(value);
}

/** A histogram without labels. Prometheus counts "up to this bound"; the result counts what is in each bucket. */
export function histogramOf(metrics: string, name: string): HistogramSnapshot {
  const bounds: number[] = [];
  const counts: number[] = [];
  let below = 0;
  for (const [, bound, value] of metrics.matchAll(
    new RegExp(`^${name}_bucket\\{le="(.*?)"\\} (\\S+)$`, "gm"),
  )) {
    if (bound !== "+Inf") bounds.push(Number(bound));
    counts.push(Number(value) - below);
    below = Number(value);
  }
  return {
    bounds,
    counts,
    sum: metricValue(metrics, `${name}_sum`),
    count: metricValue(metrics, `${name}_count`),
  };
}
