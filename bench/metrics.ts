/** Reads longsplice's own metrics. */
import { request } from "node:http";
import { text } from "node:stream/consumers";
import type { HistogramSnapshot } from "../src/observe/snapshot.js";

/** @param admin path of the admin socket @returns the Prometheus text */
export function readMetrics(admin: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath: admin, path: "/metrics", agent: false }, (response) => {
      if (response.statusCode === 200) text(response).then(resolve, reject);
      else reject(new Error(`/metrics answered ${response.statusCode}`));
    })
      .once("error", reject)
      .end();
  });
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

/** The values of a metric with labels, by what stands between its braces. */
export function labelledValues(metrics: string, name: string): Record<string, number> {
  const series = metrics.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\S+)$`, "gm"));
  return Object.fromEntries([...series].map(([, labels = "", value]) => [labels, Number(value)]));
}
