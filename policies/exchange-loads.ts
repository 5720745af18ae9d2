import type { Candidates } from "../src/policy/index.js";
import type { Lots } from "./lots.js";

/**
 * The candidates' loads in proportion to their weights: exchanges in flight, divided by the weight, in units of the mean
 * weight. So between equal weights a load is the number of exchanges. Candidates of weight 0 do not count, unless there are no others.
 *
 * One object serves for many requests, and nothing is allocated. Loads are live: two looks at one may differ.
 */
export class ExchangeLoads {
  private candidates: Candidates | undefined;
  /** Sum of the weights of those that count. */
  private total = 0;
  private even = false;
  /** How many count; -1: nobody asked yet. */
  private counted = -1;

  constructor(private readonly lots: Lots) {}

  /** Looks at these candidates from now on, until they are narrowed or others are taken. */
  take(candidates: Candidates): void {
    const total = candidates.totalWeight();
    this.candidates = candidates;
    this.even = total === 0;
    this.total = this.even ? candidates.length : total;
    this.counted = -1;
  }

  /** How many candidates count. */
  get count(): number {
    if (this.counted >= 0) return this.counted;
    let count = 0;
    for (let i = 0; i < (this.candidates as Candidates).length; i++) {
      if (this.weight(i) > 0) count++;
    }
    this.counted = count;
    return count;
  }

  /** The weight of a candidate; 0 if it does not count. */
  weight(position: number): number {
    return this.even ? 1 : (this.candidates as Candidates).weight(position);
  }

  /** Exchanges in flight to all candidates that count. */
  sum(): number {
    const candidates = this.candidates as Candidates;
    let sum = 0;
    for (let i = 0; i < candidates.length; i++) {
      if (this.weight(i) > 0) sum += candidates.active(i);
    }
    return sum;
  }

  /**
   * A candidate's load less a limit, up to a factor that is the same for all candidates: only the sign means something. The
   * candidate must count.
   *
   * @param enlarged and by: the limit is multiplied by `enlarged / by`
   */
  beyond(position: number, limit: number, enlarged = 1, by = 1): number {
    const candidates = this.candidates as Candidates;
    // Without a division, and its rounding.
    const load = candidates.active(position) * this.total * by;
    return load - limit * this.weight(position) * this.count * enlarged;
  }

  /** Which of two loads is higher: positive if the first is, 0 if they are the same. Both candidates must count. */
  compare(one: number, other: number): number {
    const candidates = this.candidates as Candidates;
    return candidates.active(one) * this.weight(other) - candidates.active(other) * this.weight(one);
  }

  /** The candidate with the least load; one of them drawn by weight if there are several. -1 if there is no candidate. */
  least(): number {
    const candidates = this.candidates as Candidates;
    const { even } = this;
    const { length } = candidates;
    let best = -1;
    let bestActive = 0;
    let bestWeight = 0;
    // Weight of all candidates as good as the best one.
    let tied = 0;
    for (let i = 0; i < length; i++) {
      const weight = even ? 1 : candidates.weight(i);
      if (weight === 0) continue;
      const active = candidates.active(i);
      // active/weight < bestActive/bestWeight
      const difference = active * bestWeight - bestActive * weight;
      if (best < 0 || difference < 0) {
        best = i;
        bestActive = active;
        bestWeight = weight;
        tied = weight;
      } else if (difference === 0) {
        tied += weight;
      }
    }
    return tied === bestWeight ? best : this.draw(best, tied);
  }

  /** One of the candidates whose load equals that of `best`. */
  private draw(best: number, tied: number): number {
    const candidates = this.candidates as Candidates;
    const active = candidates.active(best);
    const per = this.weight(best);
    let ticket = this.lots.below(tied);
    for (let i = best; i < candidates.length; i++) {
      const weight = this.weight(i);
      // One may have changed since they were compared, then it just draws no lot.
      if (weight === 0 || candidates.active(i) * per !== active * weight) continue;
      ticket -= weight;
      if (ticket < 0) return i;
    }
    return best;
  }
}
