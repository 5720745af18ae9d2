/** Counts the answers of one phase. */
import { quantile } from "../stats.js";
import type { PhaseReport } from "./protocol.js";

export interface Answer {
  readonly millis: number;
  readonly bytes: number;
  readonly origin: number;
  readonly hit: boolean;
}

export class Tally {
  private readonly started = performance.now();
  private readonly delays: number[] = [];
  private readonly bySecond: number[][] = [];
  private readonly errors: Record<string, number> = {};
  private bytes = 0;
  private hits = 0;

  constructor(private readonly origins: number) {}

  get requests(): number {
    return this.delays.length;
  }

  get failures(): number {
    return Object.keys(this.errors).length;
  }

  add({ millis, bytes, origin, hit }: Answer): void {
    this.delays.push(millis);
    this.bytes += bytes;
    if (hit) this.hits++;
    const row = this.rowOf(Math.floor((performance.now() - this.started) / 1000));
    row[origin] = (row[origin] ?? 0) + 1;
  }

  fail(what: string): void {
    this.errors[what] = (this.errors[what] ?? 0) + 1;
  }

  report(): PhaseReport {
    const { delays, bytes, hits, bySecond, errors } = this;
    const count = delays.length;
    const mean = delays.reduce((sum, delay) => sum + delay, 0) / count;
    const variance = delays.reduce((sum, delay) => sum + (delay - mean) ** 2, 0) / count;
    return {
      seconds: (performance.now() - this.started) / 1000,
      requests: count,
      bytes,
      hits,
      delay: { mean, variance, p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) },
      bySecond,
      errors,
    };
  }

  private rowOf(second: number): number[] {
    while (this.bySecond.length <= second) this.bySecond.push(new Array<number>(this.origins).fill(0));
    return this.bySecond[second] ?? [];
  }
}
