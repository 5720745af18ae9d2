import { type Candidates, definePolicy, type Policy, type SelectContext, z } from "../../src/policy/index.js";
import { withSlot } from "../by-slot.js";
import { Lots } from "../lots.js";
import { Pair } from "../pair.js";
import { Scores } from "../scores.js";
import { timeToWait, UNKNOWN } from "../wait.js";

/** A backend whose average did not change, and that was not chosen, for so long is tried once. Seconds. */
const TRIAL_AFTER = 10;

/** The average times of the load table, and how old they are. */
class Times {
  /** By slot: the average that was seen last, and since when the backend has not been heard of, in seconds. */
  private seen = new Int32Array(16);
  private since = new Int32Array(16);
  private now = 0;

  /** Tells the time, milliseconds; at each choice. */
  at(now: number): void {
    this.now = Math.floor(now / 1000);
  }

  /** Microseconds, for `timeToWait`. A trial does not wait for what is in flight: that may be one exchange which lasts for hours. */
  of(candidates: Candidates, position: number, active: number): number {
    const slot = candidates.slotAt(position);
    const latency = candidates.latency(position);
    // Also true where the slot is beyond the array.
    if (this.seen[slot] !== latency) this.note(slot, latency);
    if (this.now - (this.since[slot] as number) >= TRIAL_AFTER) return 0;
    return latency > 0 || active === 0 ? latency : UNKNOWN;
  }

  /** The candidate gets a request, of which its average will tell. */
  chosen(candidates: Candidates, position: number): void {
    this.since[candidates.slotAt(position)] = this.now;
  }

  private note(slot: number, latency: number): void {
    this.seen = withSlot(this.seen, slot);
    this.since = withSlot(this.since, slot);
    this.seen[slot] = latency;
    this.since[slot] = this.now;
  }
}

/** The candidate with the lowest product of average time and exchanges in flight, per weight. */
class LeastTime implements Policy {
  private readonly times = new Times();
  private readonly scores = new Scores();
  /** Of the two that were drawn. */
  private readonly waits = new Float64Array(2);
  private readonly lots: Lots;
  private readonly pair: Pair;

  constructor(
    private readonly all: boolean,
    random: () => number,
  ) {
    this.lots = new Lots(random);
    this.pair = new Pair(random);
  }

  select(_head: unknown, candidates: Candidates, context: SelectContext): void {
    if (candidates.length === 0) return;
    this.times.at(context.now);
    const best = this.all ? this.bestOfAll(candidates) : this.betterOfTwo(candidates);
    this.times.chosen(candidates, best);
    candidates.keep(best);
  }

  private bestOfAll(candidates: Candidates): number {
    this.scores.make(candidates.length);
    const { values } = this.scores;
    for (let i = 0; i < candidates.length; i++) {
      const active = candidates.active(i);
      values[i] = this.times.of(candidates, i, active);
      timeToWait(values, i, active, 1);
    }
    return this.scores.lowestPerWeight(candidates, this.lots);
  }

  private betterOfTwo(candidates: Candidates): number {
    const { waits } = this;
    const { first, second, firstWeight, secondWeight } = this.pair.draw(candidates);
    this.weigh(0, candidates, first, firstWeight);
    this.weigh(1, candidates, second, secondWeight);
    return (waits[1] as number) < (waits[0] as number) ? second : first;
  }

  private weigh(which: number, candidates: Candidates, position: number, weight: number): void {
    const active = candidates.active(position);
    this.waits[which] = this.times.of(candidates, position, active);
    timeToWait(this.waits, which, active, weight);
  }
}

/** `least-time`: the fastest and least busy. Option `among`: `all`, or `two` random ones. */
export const leastTime = definePolicy({
  name: "least-time",
  apiVersion: 1,
  options: z.strictObject({ among: z.enum(["all", "two"]).default("all") }).prefault({}),
  choosesBy: "load",
  needs: { headers: [] },
  create: ({ among }, env) => new LeastTime(among === "all", env.random),
});
