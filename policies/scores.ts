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
   * The position with the lowest score per weight of those that have a weight; draws lots among equals, by weight. If no candidate has
   * a weight, all are alike. -1 if there is no candidate. Leaves other values than it found.
   */
  lowestPerWeight(candidates: Candidates, lots: Lots): number {
    const lowest = this.lowest(candidates, lots, false);
    return lowest < 0 ? this.lowest(candidates, lots, true) : lowest;
  }

  /** @param even takes all weights to be 1; else those of weight 0 are passed over */
  private lowest(candidates: Candidates, lots: Lots, even: boolean): number {
    const { values } = this;
    let best = -1;
    let bound = 0;
    let tied = 0;
    for (let i = 0; i < candidates.length; i++) {
      const weight = even ? 1 : candidates.weight(i);
      if (weight === 0) continue;
      const score = (values[i] as number) / weight;
      values[i] = score;
      if (best >= 0 && score > bound) continue;
      if (best < 0 || score < (values[best] as number) * (1 - ROUNDING)) {
        best = i;
        bound = score * (1 + ROUNDING);
        tied = 0;
      }
      tied += weight;
    }
    if (best < 0) return best;
    let ticket = lots.below(tied);
    for (let i = best; i < candidates.length; i++) {
      if ((values[i] as number) > bound) continue;
      // Of weight 0 it cannot become negative.
      ticket -= even ? 1 : candidates.weight(i);
      if (ticket < 0) return i;
    }
    return best;
  }
}
