import type { Candidates } from "../src/policy/index.js";
import type { Lots } from "./lots.js";

/** Scores that differ by no more than this part of them are alike: fractions are rounded. */
const ROUNDING = 1e-9;

/** A score for each candidate, by position. One object serves for all choices. */
export class Scores {
  /** As many as `make` was told, or more. A field, and no method that would put each fraction on the heap. */
  values = new Float64Array(16);

  /** Makes room for this many. */
  make(count: number): void {
    if (count > this.values.length) this.values = new Float64Array(2 * count);
  }

  /**
   * The position with the lowest score of those that have a weight; draws lots among equals, by weight. If no candidate has a
   * weight, all are alike. -1 if there is no candidate.
   */
  lowest(candidates: Candidates, lots: Lots): number {
    const even = candidates.totalWeight() === 0;
    const { values } = this;
    let best = -1;
    let least = 0;
    for (let i = 0; i < candidates.length; i++) {
      const score = values[i] as number;
      if ((best >= 0 && score >= least) || (!even && candidates.weight(i) === 0)) continue;
      best = i;
      least = score;
    }
    const bound = least + least * ROUNDING;
    let tied = 0;
    for (let i = 0; i < candidates.length; i++) {
      if ((values[i] as number) <= bound) tied += even ? 1 : candidates.weight(i);
    }
    if (tied === 0) return best;
    let ticket = lots.below(tied);
    for (let i = 0; i < candidates.length; i++) {
      if ((values[i] as number) > bound) continue;
      ticket -= even ? 1 : candidates.weight(i);
      if (ticket < 0) return i;
    }
    return best;
  }
}
