import type { HistogramSnapshot, WorkerSnapshot } from "./snapshot.js";
import { histogramSince, quantile } from "./snapshot.js";

/** Rates over the last seconds; all of them are per second. */
export interface Rates {
  /** Seconds that the rates look back over; 0 before there are two samples. */
  readonly windowSeconds: number;
  readonly requests: number;
  /** Exchanges that ended with a 5xx status. */
  readonly errors: number;
  readonly connections: number;
  readonly bytesDownstream: number;
  readonly bytesUpstream: number;
  /** By class of status: `2xx`, ..., and `none` for exchanges without a response. */
  readonly byClass: Readonly<Record<string, number>>;
  /** Quantiles of the whole exchange in milliseconds; null when none ended. */
  readonly latencyMs: {
    readonly p50: number | null;
    readonly p90: number | null;
    readonly p99: number | null;
  };
}

/** Rates for each second of the last two minutes, oldest first. */
export interface RateHistory {
  readonly intervalMs: number;
  readonly requests: readonly number[];
  readonly errors: readonly number[];
}

interface Sample {
  readonly at: number;
  readonly totals: ReadonlyMap<string, number>;
  readonly latency: HistogramSnapshot;
}

const WINDOW_MS = 10_000;
const HISTORY_LENGTH = 120;

/** Class of a status code as it is shown: `2xx`, or `none` for code 0. */
export function codeClass(code: number): string {
  return code === 0 ? "none" : `${Math.floor(code / 100)}xx`;
}

/** Turns growing counters into rates: it remembers a few samples and compares the newest with the oldest. */
export class RateWindow {
  readonly #samples: Sample[] = [];
  readonly #history: { requests: number; errors: number }[] = [];
  readonly #intervalMs: number;

  /** @param intervalMs how often {@link RateWindow.push} will be called */
  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** @param at a monotonic time in milliseconds, later than that of the sample before */
  push(snapshot: WorkerSnapshot, at: number): void {
    const sample: Sample = { at, totals: totalsOf(snapshot), latency: snapshot.requestSeconds };
    const last = this.#samples.at(-1);
    this.#samples.push(sample);
    while (this.#samples.length > 2 && at - (this.#samples[1]?.at ?? at) >= WINDOW_MS) this.#samples.shift();
    if (last === undefined) return;
    this.#history.push({
      requests: perSecond(sample, last, "requests"),
      errors: perSecond(sample, last, "class 5xx"),
    });
    if (this.#history.length > HISTORY_LENGTH) this.#history.shift();
  }

  rates(): Rates {
    const latency = this.#latency();
    const milliseconds = (q: number): number | null => {
      const seconds = latency === undefined ? null : quantile(latency, q);
      return seconds === null ? null : seconds * 1000;
    };
    return {
      windowSeconds: (this.#newest().at - this.#oldest().at) / 1000,
      requests: this.#rate("requests"),
      errors: this.#rate("class 5xx"),
      connections: this.#rate("connections"),
      bytesDownstream: this.#rate("bytes downstream"),
      bytesUpstream: this.#rate("bytes upstream"),
      byClass: this.#byClass(),
      latencyMs: { p50: milliseconds(0.5), p90: milliseconds(0.9), p99: milliseconds(0.99) },
    };
  }

  /** Requests per second that took this route. */
  ofRoute(label: string): number {
    return this.#rate(routeKey(label));
  }

  /** Requests per second that this backend answered. */
  ofBackend(pool: string, address: string): number {
    return this.#rate(backendKey(pool, address));
  }

  history(): RateHistory {
    return {
      intervalMs: this.#intervalMs,
      requests: this.#history.map((second) => second.requests),
      errors: this.#history.map((second) => second.errors),
    };
  }

  #newest(): Sample {
    return this.#samples.at(-1) ?? EMPTY;
  }

  #oldest(): Sample {
    return this.#samples[0] ?? EMPTY;
  }

  #rate(key: string): number {
    return perSecond(this.#newest(), this.#oldest(), key);
  }

  #byClass(): Record<string, number> {
    const rates: Record<string, number> = {};
    for (const key of this.#newest().totals.keys()) {
      if (key.startsWith(CLASS_PREFIX)) rates[key.slice(CLASS_PREFIX.length)] = this.#rate(key);
    }
    return rates;
  }

  #latency(): HistogramSnapshot | undefined {
    if (this.#samples.length < 2) return undefined;
    return histogramSince(this.#newest().latency, this.#oldest().latency);
  }
}

const EMPTY: Sample = { at: 0, totals: new Map(), latency: { bounds: [], counts: [0], sum: 0, count: 0 } };
const CLASS_PREFIX = "class ";

const routeKey = (label: string): string => `route ${label}`;
// JSON, because names and addresses may hold any separator.
const backendKey = (pool: string, address: string): string => `backend ${JSON.stringify([pool, address])}`;

function totalsOf(snapshot: WorkerSnapshot): Map<string, number> {
  const totals = new Map<string, number>();
  const add = (key: string, count: number): void => {
    totals.set(key, (totals.get(key) ?? 0) + count);
  };
  for (const row of snapshot.requests) {
    add("requests", row.count);
    add(CLASS_PREFIX + codeClass(row.code), row.count);
    add(routeKey(row.route), row.count);
    add(backendKey(row.pool, row.backend), row.count);
  }
  for (const row of snapshot.bytes) add(`bytes ${row.direction}`, row.count);
  for (const row of snapshot.listeners) add("connections", row.accepted);
  return totals;
}

/** A counter that is new in `newer` began at 0; one that fell (its worker restarted) counts as standing still. */
function perSecond(newer: Sample, older: Sample, key: string): number {
  const elapsed = newer.at - older.at;
  if (elapsed <= 0) return 0;
  const grown = (newer.totals.get(key) ?? 0) - (older.totals.get(key) ?? 0);
  return (Math.max(0, grown) * 1000) / elapsed;
}
