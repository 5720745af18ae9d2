import { type Candidates, definePolicy, type Policy, type SelectContext, z } from "../../src/policy/index.js";
import { withSlot } from "../by-slot.js";
import { Lots } from "../lots.js";
import { Pair } from "../pair.js";
import { Scores } from "../scores.js";
import { waitOf } from "../wait.js";

/** A backend whose average did not change, and that was not chosen, for so long is tried once. Milliseconds. */
const TRIAL_AFTER = 10_000;

/** The average times of the load table, and how old they are. */
class Times {
  /** By slot: the average that was seen last, and since when the backend has not been heard of. */
  private seen = new Int32Array(16);
  private since = new Float64Array(16);
  private readonly now = new Float64Array(1);

  /** Tells the time; at each choice. */
  at(now: number): void {
    this.now[0] = now;
  }

  /** Microseconds; 0 if nothing is known, or nothing recent. */
  of(candidates: Candidates, position: number): number {
    const slot = candidates.slotAt(position);
    const latency = candidates.latency(position);
    if (slot >= this.seen.length) this.grow(slot);
    if (this.seen[slot] !== latency) {
      this.seen[slot] = latency;
      this.since[slot] = this.now[0] as number;
    }
    return (this.now[0] as number) - (this.since[slot] as number) < TRIAL_AFTER ? latency : 0;
  }

  /** The candidate gets a request, of which its average will tell. */
  chosen(candidates: Candidates, position: number): void {
    this.since[candidates.slotAt(position)] = this.now[0] as number;
  }

  private grow(slot: number): void {
    this.seen = withSlot(this.seen, slot);
    this.since = withSlot(this.since, slot);
  }
}

/** The candidate with the lowest product of average time and exchanges in flight, per weight. */
class LeastTime implements Policy {
  private readonly times = new Times();
  private readonly scores = new Scores();
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
    const even = candidates.totalWeight() === 0;
    for (let i = 0; i < candidates.length; i++) {
      // Of no account where the weight is 0.
      const weight = even ? 1 : candidates.weight(i) || 1;
      values[i] = waitOf(this.times.of(candidates, i), candidates.active(i), weight);
    }
    return this.scores.lowest(candidates, this.lots);
  }

  private betterOfTwo(candidates: Candidates): number {
    const { pair } = this;
    pair.draw(candidates);
    const { first, second } = pair;
    const one = waitOf(this.times.of(candidates, first), candidates.active(first), pair.firstWeight);
    const other = waitOf(this.times.of(candidates, second), candidates.active(second), pair.secondWeight);
    return other < one ? second : first;
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
