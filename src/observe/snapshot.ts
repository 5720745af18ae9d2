/** A histogram as a worker counts it. */
export interface HistogramSnapshot {
  /** Upper bounds of the buckets in seconds, ascending; a last bucket without a bound follows. */
  readonly bounds: readonly number[];
  /** Observations per bucket, not cumulative; one more than there are bounds. */
  readonly counts: readonly number[];
  /** Sum of all observations, in seconds. */
  readonly sum: number;
  readonly count: number;
}

/** Exchanges that ended alike. `code` is the status that the client got, 0 when it got none. */
export interface RequestCount {
  readonly route: string;
  readonly pool: string;
  readonly backend: string;
  readonly code: number;
  readonly count: number;
}

/** Connections that one listener accepted since the start, and those still open. */
export interface ListenerCount {
  readonly address: string;
  readonly accepted: number;
  readonly active: number;
}

/** Bytes that an engine moved; `downstream` is towards the client, `upstream` towards the backend. */
export interface ByteCount {
  readonly engine: string;
  readonly direction: "downstream" | "upstream";
  readonly count: number;
}

/** How often the planner took a lesser engine, and why. */
export interface FallbackCount {
  readonly from: string;
  readonly to: string;
  readonly reason: string;
  readonly count: number;
}

/** Links that ended alike; `end` is `finished`, `reset`, `idle`, `cut` or `resumed`. */
export interface LinkEndCount {
  readonly end: string;
  readonly count: number;
}

/** Requests that were sent again or to another backend, for one reason: `stale`, `connect`, `connect_timeout`, `reset` or `garbage`. */
export interface RetryCount {
  readonly reason: string;
  readonly count: number;
}

/** How often a source of backends was looked up; `result` is `changed`, `same` or `failed`. */
export interface DiscoveryCount {
  readonly source: string;
  readonly result: string;
  readonly count: number;
}

/** Calls of a pool's policies that went wrong; `kind` is `error`, `late` or `emptied`. */
export interface PolicyErrorCount {
  readonly pool: string;
  readonly kind: string;
  readonly count: number;
}

/**
 * The counters of one worker. All of them only grow, except `active`, `linksActive`, `records` and `idleUpstream`: the last
 * snapshot of a worker that ended has to stay part of the sum, or counters would run backwards.
 */
export interface WorkerSnapshot {
  readonly requests: readonly RequestCount[];
  readonly listeners: readonly ListenerCount[];
  readonly bytes: readonly ByteCount[];
  readonly fallbacks: readonly FallbackCount[];
  /** Pairs of connections that the packet engine carries now. */
  readonly linksActive: number;
  /** Room for more of them; each takes two. Those of ended ones go on translating until somebody needs them. */
  readonly records: { readonly free: number; readonly ended: number };
  readonly linksEnded: readonly LinkEndCount[];
  readonly retries: readonly RetryCount[];
  /** Retries that a pool's budget did not allow. */
  readonly retriesRefused: number;
  readonly requestSeconds: HistogramSnapshot;
  readonly decisionSeconds: HistogramSnapshot;
  readonly policyErrors: readonly PolicyErrorCount[];
  /** Upstream connections that wait in the idle sets. */
  readonly idleUpstream: number;
  /** Access-log lines that the worker itself had to drop. */
  readonly logDropped: number;
}

/** A backend as the control plane sees it now; the counters come from the load table and wrap at 2^32. */
export interface BackendState {
  readonly pool: string;
  readonly address: string;
  readonly health: "unknown" | "healthy" | "unhealthy" | "draining";
  /** Why it is what it is; empty if it never changed. */
  readonly reason: string;
  /** As configured. */
  readonly weight: number;
  /** The part of it that is in effect. */
  readonly weightPercent: number;
  /** Exchanges in flight. */
  readonly active: number;
  readonly requests: number;
  readonly errors: number;
  /** Open upstream connections. */
  readonly connections: number;
  /** Moving average of the time to the response head, in microseconds. */
  readonly ewmaMicros: number;
  /** What it reports of its load, as far as that is known now: shares as fractions, the rest as counts. */
  readonly load: Readonly<Record<string, number>>;
  /** Times that it was taken out for how it served, by reason. */
  readonly ejections: Readonly<Record<string, number>>;
}

/** Where the numbers come from; the composition root implements it. */
export interface MetricsSource {
  /** One snapshot for each worker, or a rejection when a worker does not answer. */
  snapshot(): Promise<readonly WorkerSnapshot[]>;
  /** Every backend of every pool, in the order of the configuration. */
  backends(): readonly BackendState[];
  /** Lines that the log of the process lost (`Log.dropped`). */
  logDropped(): number;
  /** What the packet engine counted, by event; empty while there is none. */
  packetCounters(): Readonly<Record<string, number>>;
  /** Look-ups of sources of backends; empty without any. */
  discovery(): readonly DiscoveryCount[];
}

const SNAPSHOT_LIMIT_MS = 1000;

/**
 * Asks all workers and adds their counters up.
 * @throws Error when the answer takes more than a second: no numbers are better than a sum without a worker, which a
 *   monitoring system would take for a restart.
 */
export async function readSnapshot(
  source: MetricsSource,
  limitMs = SNAPSHOT_LIMIT_MS,
): Promise<WorkerSnapshot> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`a worker did not report within ${limitMs} ms`)), limitMs);
  });
  try {
    return mergeSnapshots(await Promise.race([source.snapshot(), late]));
  } finally {
    clearTimeout(timer);
  }
}

/** Adds snapshots up, row by row; rows with equal labels become one. No snapshots give an empty one. */
export function mergeSnapshots(all: readonly WorkerSnapshot[]): WorkerSnapshot {
  return {
    requests: sumCounts(all.flatMap((s) => s.requests)),
    listeners: sumListeners(all.flatMap((s) => s.listeners)),
    bytes: sumCounts(all.flatMap((s) => s.bytes)),
    fallbacks: sumCounts(all.flatMap((s) => s.fallbacks)),
    linksActive: all.reduce((sum, s) => sum + s.linksActive, 0),
    records: {
      free: all.reduce((sum, s) => sum + s.records.free, 0),
      ended: all.reduce((sum, s) => sum + s.records.ended, 0),
    },
    linksEnded: sumCounts(all.flatMap((s) => s.linksEnded)),
    retries: sumCounts(all.flatMap((s) => s.retries)),
    retriesRefused: all.reduce((sum, s) => sum + s.retriesRefused, 0),
    requestSeconds: mergeHistograms(all.map((s) => s.requestSeconds)),
    decisionSeconds: mergeHistograms(all.map((s) => s.decisionSeconds)),
    policyErrors: sumCounts(all.flatMap((s) => s.policyErrors)),
    idleUpstream: all.reduce((sum, s) => sum + s.idleUpstream, 0),
    logDropped: all.reduce((sum, s) => sum + s.logDropped, 0),
  };
}

function sumCounts<T extends { readonly count: number }>(rows: readonly T[]): T[] {
  const sums = new Map<string, T>();
  for (const row of rows) {
    const key = JSON.stringify({ ...row, count: 0 });
    const known = sums.get(key);
    sums.set(key, known === undefined ? row : { ...known, count: known.count + row.count });
  }
  return [...sums.values()];
}

function sumListeners(rows: readonly ListenerCount[]): ListenerCount[] {
  const sums = new Map<string, ListenerCount>();
  for (const { address, accepted, active } of rows) {
    const known = sums.get(address) ?? { address, accepted: 0, active: 0 };
    sums.set(address, { address, accepted: known.accepted + accepted, active: known.active + active });
  }
  return [...sums.values()];
}

/** @throws RangeError when the histograms have different buckets: only counts of the same buckets can be added. */
function mergeHistograms(all: readonly HistogramSnapshot[]): HistogramSnapshot {
  const [first, ...others] = all;
  if (first === undefined) return { bounds: [], counts: [0], sum: 0, count: 0 };
  return others.reduce((sum, next) => combine(sum, next, 1), first);
}

/** What was observed between two snapshots of one histogram. A restart (counts that fell) gives no negative counts. */
export function histogramSince(newer: HistogramSnapshot, older: HistogramSnapshot): HistogramSnapshot {
  return combine(newer, older, -1);
}

function combine(a: HistogramSnapshot, b: HistogramSnapshot, sign: 1 | -1): HistogramSnapshot {
  // An empty one fits any other: before the first worker reports there are no buckets to compare.
  if (a.count === 0) return sign === 1 ? b : a;
  if (b.count === 0) return a;
  if (a.bounds.length !== b.bounds.length || a.bounds.some((bound, i) => bound !== b.bounds[i])) {
    throw new RangeError("histograms with different buckets cannot be combined");
  }
  return {
    bounds: a.bounds,
    counts: a.counts.map((count, i) => Math.max(0, count + sign * (b.counts[i] ?? 0))),
    sum: Math.max(0, a.sum + sign * b.sum),
    count: Math.max(0, a.count + sign * b.count),
  };
}

/**
 * Estimates a quantile in seconds, assuming that observations spread evenly inside their bucket; null without
 * observations. Above the last bound the answer is that bound: the truth is at least as large.
 */
export function quantile(histogram: HistogramSnapshot, q: number): number | null {
  const total = histogram.counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const rank = q * total;
  let below = 0;
  for (const [i, bound] of histogram.bounds.entries()) {
    const inside = histogram.counts[i] ?? 0;
    if (inside > 0 && below + inside >= rank) {
      const floor = histogram.bounds[i - 1] ?? 0;
      return floor + (bound - floor) * ((rank - below) / inside);
    }
    below += inside;
  }
  return histogram.bounds.at(-1) ?? null;
}
