import type { LoadTable } from "./load-table.js";

/** Why a backend was ejected. */
export type EjectionReason = "failures" | "success_rate" | "latency";

/** What a backend did since somebody last looked. */
export interface Sample {
  /** Exchanges that ended, well or not. */
  readonly ended: number;
  readonly successes: number;
  /** Moving average of the time to the response head, microseconds. */
  readonly latency: number;
}

/** How a backend treats real requests: what the data plane counts of it, and how often it was ejected for it. */
export class Conduct {
  /** When the last ejection ends. */
  ejectedUntil = 0;
  private readonly counts: Record<EjectionReason, number> = { failures: 0, success_rate: 0, latency: 0 };
  /** Ejections that have not been forgiven. */
  private severity = 0;
  private successes: number;
  private failures: number;

  constructor(
    private readonly table: LoadTable,
    private readonly slot: number,
  ) {
    this.successes = table.read(slot, "successes");
    this.failures = table.read(slot, "failures");
    // The row may be that of the same address before it went and came back.
    this.forgetRuns();
  }

  /** How often it was ejected, by reason. */
  get ejections(): Readonly<Record<EjectionReason, number>> {
    return { ...this.counts };
  }

  /** Says from which status on a response is a failure; 0: nothing is counted any more. */
  countFailuresFrom(status: number): void {
    this.table.write(this.slot, "failuresFrom", status);
  }

  /** The most failures in a row since the last call. */
  takeLongestRun(): number {
    return this.table.take(this.slot, "longestRun");
  }

  /** What happened since the last call. */
  takeSample(): Sample {
    const successes = this.table.read(this.slot, "successes");
    const failures = this.table.read(this.slot, "failures");
    // The counters wrap; their distance does not.
    const succeeded = (successes - this.successes) >>> 0;
    const failed = (failures - this.failures) >>> 0;
    this.successes = successes;
    this.failures = failures;
    const latency = this.table.read(this.slot, "ewmaMicros");
    return { ended: succeeded + failed, successes: succeeded, latency };
  }

  /** Begins anew with runs: those of before an ejection do not count after it. */
  forgetRuns(): void {
    this.table.write(this.slot, "failureRun", 0);
    this.table.write(this.slot, "longestRun", 0);
  }

  /** Counts an ejection and fixes its end: the n-th that is not forgiven takes n times as long as the first. */
  noteEjection(reason: EjectionReason, now: number, first: number, longest: number): void {
    this.counts[reason]++;
    this.severity++;
    this.ejectedUntil = now + Math.min(first * this.severity, longest);
  }

  /** Makes the next ejection shorter again by one step. */
  forgive(): void {
    this.severity = Math.max(0, this.severity - 1);
  }
}
