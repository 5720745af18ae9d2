import type { NativeHistogram, NativeStats, WorkerEngine } from "../dataplane/index.js";
import type { HistogramSnapshot, WorkerSnapshot } from "../observe/index.js";
import type { PolicyProblems } from "./messages.js";
import type { Names } from "./names.js";

/** Gives the counters of a worker with this engine their names. */
export function nameCounters(
  stats: NativeStats,
  policies: readonly PolicyProblems[],
  names: Names,
  engine: WorkerEngine,
): WorkerSnapshot {
  const { active: linksActive, ...ended } = stats.links;
  return {
    requests: stats.requests.map(({ route, backend, code, count }) => {
      const { label, pool } = names.route(route);
      return { route: label, pool, backend: names.backend(backend).address, code, count };
    }),
    listeners: stats.listeners,
    bytes: [
      { engine: "copy", direction: "downstream", count: stats.copyBytesDownstream },
      { engine: "copy", direction: "upstream", count: stats.copyBytesUpstream },
      { engine: "pipe", direction: "downstream", count: stats.pipeBytesDownstream },
      { engine: "pipe", direction: "upstream", count: stats.pipeBytesUpstream },
      { engine: "sockmap", direction: "downstream", count: stats.sockmapBytesDownstream },
      { engine: "sockmap", direction: "upstream", count: stats.sockmapBytesUpstream },
      { engine: "packet", direction: "downstream", count: stats.packetBytesDownstream },
      { engine: "packet", direction: "upstream", count: stats.packetBytesUpstream },
    ],
    fallbacks: [...toCopy("packet", stats.packetFallbacks), ...toCopy(engine, stats.bodyFallbacks)],
    linksActive,
    records: stats.records,
    linksEnded: Object.entries(ended).map(([end, count]) => ({ end, count })),
    retries: Object.entries(stats.retries).map(([reason, count]) => ({ reason, count })),
    retriesRefused: stats.retriesRefused,
    requestSeconds: named(stats.requestSeconds),
    decisionSeconds: named(stats.decisionSeconds),
    policyErrors: policies.flatMap(({ pool, errors, late, emptied }) => [
      { pool, kind: "error", count: errors },
      { pool, kind: "late", count: late },
      { pool, kind: "emptied", count: emptied },
    ]),
    idleUpstream: stats.idleUpstream,
    logDropped: 0,
  };
}

function toCopy(from: string, reasons: Readonly<Record<string, number>>): WorkerSnapshot["fallbacks"] {
  return Object.entries(reasons).map(([reason, count]) => ({ from, to: "copy", reason, count }));
}

function named(histogram: NativeHistogram): HistogramSnapshot {
  return { ...histogram, count: histogram.counts.reduce((sum, count) => sum + count, 0) };
}
