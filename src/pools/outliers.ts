import { isDeepStrictEqual } from "node:util";
import type { Conduct, EjectionReason, Sample } from "./conduct.js";

/**
 * When a backend is taken out because of how it treats real requests. Times in milliseconds, `panicThreshold` in percent. 0
 * turns off `consecutiveFailures`, a factor or the threshold.
 */
export interface OutlierRules {
  readonly consecutiveFailures: number;
  /** The least status of a response that is a failure. */
  readonly failuresFrom: number;
  /** Between two comparisons of the backends. */
  readonly interval: number;
  /** How many standard deviations below the mean a success rate is an outlier. */
  readonly successRateFactor: number;
  /** How many standard deviations above the mean a latency is an outlier. */
  readonly latencyFactor: number;
  /** Fewer backends with enough requests are not compared. */
  readonly minBackends: number;
  /** A backend that ended fewer exchanges in an interval is not compared. */
  readonly minRequests: number;
  /** How long the first ejection lasts; the n-th in short sequence n times as long. */
  readonly ejection: number;
  readonly maxEjection: number;
  /** No ejection leaves less than this part of the backends that do not drain. */
  readonly panicThreshold: number;
}

/** A backend as the watch sees it. */
export interface Watched {
  readonly conduct: Conduct;
  /** Whether it takes part at all; a draining one does not. */
  readonly draining: boolean;
  /** Whether it would be given requests if it were not ejected. */
  readonly usable: boolean;
  readonly ejected: boolean;
  /** Takes it out. `detail` is for the log. */
  eject(detail: string): void;
  /** Brings it back. */
  readmit(detail: string): void;
}

/** Success rates closer to the mean than this are none of an outlier, however alike the others are. */
const LEAST_DISTANCE = 0.05;
/** Nor is a latency below so many times the mean. */
const LEAST_MULTIPLE = 2;

/**
 * Which of the values lie so many (population) standard deviations from the mean, downwards or upwards: Envoy's outlier detection.
 * Of n values none can lie further off than the root of n - 1 of them.
 */
export function outliersOf(
  values: readonly number[],
  factor: number,
  direction: "below" | "above",
): boolean[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  const limit = factor * Math.sqrt(variance);
  if (direction === "below") {
    return values.map((value) => value < mean - limit && value < mean - LEAST_DISTANCE);
  }
  return values.map((value) => value > mean + limit && value > mean * LEAST_MULTIPLE);
}

/** Watches the backends of one pool and takes out those that serve much worse than the others. */
export class OutlierWatch {
  private nextComparison: number;

  /**
   * Times are milliseconds of a clock that only goes forward.
   * @param before who watched the pool until now: under the same rules its interval goes on, or backends that come and go more often
   *   than that would put off every comparison
   */
  constructor(
    private readonly rules: OutlierRules,
    private readonly backends: readonly Watched[],
    now: number,
    before?: OutlierWatch,
  ) {
    const goesOn = before !== undefined && isDeepStrictEqual(before.rules, rules);
    this.nextComparison = goesOn ? before.nextComparison : now + rules.interval;
  }

  /** To be called several times a second. */
  tick(now: number): void {
    for (const backend of this.backends) {
      if (backend.ejected && now >= backend.conduct.ejectedUntil) this.readmit(backend, "ejection is over");
    }
    this.relieve();
    for (const backend of this.backends) this.judgeRun(backend, now);
    if (now < this.nextComparison) return;
    this.nextComparison = now + this.rules.interval;
    this.compare(now);
  }

  private judgeRun(backend: Watched, now: number): void {
    const { consecutiveFailures } = this.rules;
    const run = backend.conduct.takeLongestRun();
    if (consecutiveFailures === 0 || run < consecutiveFailures) return;
    this.eject(backend, "failures", `${run} failures in a row`, now);
  }

  private compare(now: number): void {
    const { interval, minRequests, minBackends } = this.rules;
    const samples = this.backends.map((backend) => ({ backend, sample: backend.conduct.takeSample() }));
    const busy = samples.filter(({ backend, sample }) => !backend.ejected && sample.ended >= minRequests);
    if (busy.length >= minBackends) this.compareBusy(busy, now);
    for (const { backend, sample } of samples) {
      const back = !backend.ejected && now - backend.conduct.ejectedUntil >= interval;
      if (back && sample.successes > 0) backend.conduct.forgive();
    }
  }

  private compareBusy(busy: readonly { backend: Watched; sample: Sample }[], now: number): void {
    const { successRateFactor, latencyFactor } = this.rules;
    const rates = busy.map(({ sample }) => sample.successes / sample.ended);
    const latencies = busy.map(({ sample }) => sample.latency);
    const unsuccessful = outliersOf(rates, successRateFactor, "below");
    const slow = outliersOf(latencies, latencyFactor, "above");
    busy.forEach(({ backend }, i) => {
      const rate = `success rate ${((rates[i] as number) * 100).toFixed(1)} %`;
      const latency = `latency ${((latencies[i] as number) / 1000).toFixed(1)} ms`;
      if (successRateFactor > 0 && unsuccessful[i]) this.eject(backend, "success_rate", rate, now);
      else if (latencyFactor > 0 && slow[i]) this.eject(backend, "latency", latency, now);
    });
  }

  private eject(backend: Watched, reason: EjectionReason, detail: string, now: number): void {
    if (backend.ejected || !backend.usable || this.panics(1)) return;
    const { ejection, maxEjection } = this.rules;
    backend.conduct.noteEjection(reason, now, ejection, maxEjection);
    backend.eject(`ejected: ${detail}`);
  }

  /** Brings all back when what is left is too little, because checks took others out. */
  private relieve(): void {
    if (!this.panics(0)) return;
    for (const backend of this.backends) {
      if (backend.ejected && backend.usable) this.readmit(backend, "panic threshold");
    }
  }

  /** Whether too few are left with so many fewer. */
  private panics(fewer: number): boolean {
    const all = this.backends.filter(({ draining }) => !draining);
    const left = all.filter(({ usable, ejected }) => usable && !ejected).length - fewer;
    return left * 100 < all.length * this.rules.panicThreshold;
  }

  private readmit(backend: Watched, detail: string): void {
    backend.conduct.forgetRuns();
    backend.readmit(detail);
  }
}
