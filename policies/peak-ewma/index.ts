import {
  type Backend,
  type Candidates,
  definePolicy,
  type ExchangeSummary,
  type Policy,
  type SelectContext,
  z,
} from "../../src/policy/index.js";
import { SlotOwners, withSlot } from "../by-slot.js";
import { Pair } from "../pair.js";
import { timeToWait } from "../wait.js";

/** A failure doubles a backend's time, from at least this to at most this. Microseconds. */
const [LEAST_PENALTY, MOST_PENALTY] = [1e3, 1e7];

const [FIRST, SECOND] = [0, 1];

/** Of two candidates, the one whose peak-sensitive average time, times the exchanges in flight, is lower. */
class PeakEwma implements Policy {
  private readonly owners = new SlotOwners();
  /** By slot: the average when it was last changed, microseconds, and when that was. */
  private times = new Float64Array(16);
  private stamps = new Float64Array(16);
  /** Of the two that were drawn. In cells, as the time, because a fraction as a result or a field may be put on the heap. */
  private readonly waits = new Float64Array(2);
  /** The time of the last choice. */
  private readonly now = new Float64Array(1);

  /** @param decay after which an average counts for 1/e of what it was, milliseconds */
  constructor(
    private readonly pair: Pair,
    private readonly decay: number,
  ) {}

  select(_head: unknown, candidates: Candidates, context: SelectContext): void {
    this.now[0] = context.now;
    if (candidates.length <= 1) return;
    const pair = this.pair.draw(candidates);
    this.weigh(FIRST, candidates, pair.first, pair.firstWeight);
    this.weigh(SECOND, candidates, pair.second, pair.secondWeight);
    // A tie goes to the first draw, so that backends of which nothing is known are chosen exactly by weight.
    const better = (this.waits[SECOND] as number) < (this.waits[FIRST] as number);
    candidates.keep(better ? pair.second : pair.first);
  }

  /** The average as it counts now: it fades, so that a slow backend is tried again. */
  private weigh(which: number, candidates: Candidates, position: number, weight: number): void {
    const slot = this.know(candidates.at(position));
    const age = (this.now[0] as number) - (this.stamps[slot] as number);
    this.waits[which] = (this.times[slot] as number) * Math.exp(-age / this.decay);
    timeToWait(this.waits, which, candidates.active(position), weight);
  }

  onDone({ backend, ok, headMicros, totalMicros }: ExchangeSummary): void {
    const slot = this.know(backend);
    // Of an exchange that the client gave up there is nothing to learn.
    if (ok && headMicros > 0) this.observe(slot, headMicros);
    if (!ok) this.observe(slot, Math.max(totalMicros, this.penalty(slot)));
  }

  /** What a failure counts as at least; a whole number. */
  private penalty(slot: number): number {
    return Math.floor(Math.min(Math.max(2 * (this.times[slot] as number), LEAST_PENALTY), MOST_PENALTY));
  }

  /** A longer time than the average counts at once and in full, a shorter one the more the older the average is. */
  private observe(slot: number, micros: number): void {
    const old = this.times[slot] as number;
    const age = (this.now[0] as number) - (this.stamps[slot] as number);
    const kept = Math.exp(-age / this.decay);
    this.times[slot] = micros > old ? micros : old * kept + micros * (1 - kept);
    this.stamps[slot] = this.now[0] as number;
  }

  /** The backend's slot, with nothing in it of another one. */
  private know(backend: Backend): number {
    if (!this.owners.has(backend)) this.meet(backend);
    return backend.slot;
  }

  private meet(backend: Backend): void {
    this.owners.give(backend);
    this.times = withSlot(this.times, backend.slot);
    this.stamps = withSlot(this.stamps, backend.slot);
    this.times[backend.slot] = 0;
  }
}

/** `peak-ewma`: the faster of two random candidates. Option `decaySeconds`: how long the past counts. */
export const peakEwma = definePolicy({
  name: "peak-ewma",
  apiVersion: 1,
  options: z.strictObject({ decaySeconds: z.number().positive().default(10) }).prefault({}),
  choosesBy: "load",
  needs: { headers: [] },
  create: ({ decaySeconds }, env) => new PeakEwma(new Pair(env.random), decaySeconds * 1000),
});
