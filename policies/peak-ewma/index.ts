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
import { timeToWait, UNKNOWN } from "../wait.js";

/** A failure doubles a backend's time, from at least this to at most this. Microseconds. */
const [LEAST_PENALTY, MOST_PENALTY] = [1e3, 1e7];

/** How long a backend of which nothing is known is given to answer before it gets another request. Milliseconds. */
const PATIENCE = 5000;

const [FIRST, SECOND] = [0, 1];

/** Of two candidates, the one whose peak-sensitive average time, times the exchanges in flight, is lower. */
class PeakEwma implements Policy {
  private readonly owners = new SlotOwners();
  /** By slot: the average when it was last changed, microseconds, and when that was. */
  private times = new Float64Array(16);
  private stamps = new Float64Array(16);
  /** By slot: when it was chosen last. */
  private chosen = new Float64Array(16);
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
    const best = better ? pair.second : pair.first;
    this.chosen[candidates.slotAt(best)] = this.now[0] as number;
    candidates.keep(best);
  }

  private weigh(which: number, candidates: Candidates, position: number, weight: number): void {
    const slot = this.know(candidates.at(position));
    const now = this.now[0] as number;
    const active = candidates.active(position);
    const age = now - (this.stamps[slot] as number);
    // It fades, so that a slow backend is tried again.
    this.waits[which] = (this.times[slot] as number) * Math.exp(-age / this.decay);
    // What is in flight may be another worker's, or last for hours, and tell this one nothing.
    if (this.times[slot] === 0 && active > 0 && now - (this.chosen[slot] as number) < PATIENCE) {
      this.waits[which] = UNKNOWN;
    }
    timeToWait(this.waits, which, active, weight);
  }

  onDone({ backend, status, headMicros }: ExchangeSummary): void {
    const slot = this.know(backend);
    if (status === 0 || status >= 500) this.observe(slot, this.penalty(slot));
    // Also if the client did not want the rest; if it left before there was a head there is nothing to learn.
    else if (headMicros > 0) this.observe(slot, headMicros);
  }

  /** What a failure counts as, however long it took; a whole number. */
  private penalty(slot: number): number {
    return Math.floor(Math.min(Math.max(2 * (this.times[slot] as number), LEAST_PENALTY), MOST_PENALTY));
  }

  /** A longer time than the average counts at once and in full, a shorter one the more the older the average is. */
  private observe(slot: number, micros: number): void {
    const old = this.times[slot] as number;
    const age = (this.now[0] as number) - (this.stamps[slot] as number);
    this.stamps[slot] = this.now[0] as number;
    this.times[slot] = micros;
    if (micros > old) return;
    const kept = Math.exp(-age / this.decay);
    // Not a choice of two results: one that is a whole number at times is put on the heap.
    this.times[slot] = old * kept + micros * (1 - kept);
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
    this.chosen = withSlot(this.chosen, backend.slot);
    this.times[backend.slot] = 0;
    this.chosen[backend.slot] = Number.NEGATIVE_INFINITY;
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
