import type { Candidates } from "../src/policy/index.js";
import { Lots } from "./lots.js";

/** Draws two different candidates by weight, for policies that take the better one of two. One object serves for all draws. */
export class Pair {
  /** Positions. Without a second one with a weight both are the same. */
  first = 0;
  second = 0;
  /** Their weights in effect; 1 if all candidates have weight 0. */
  firstWeight = 0;
  secondWeight = 0;
  private readonly lots: Lots;

  /** @param random as for `Lots` */
  constructor(random: () => number) {
    this.lots = new Lots(random);
  }

  /** @param candidates at least one */
  draw(candidates: Candidates): this {
    const total = candidates.totalWeight();
    const even = total === 0;
    const tickets = even ? candidates.length : total;
    this.first = this.second = this.position(candidates, even, tickets, -1);
    this.firstWeight = this.secondWeight = even ? 1 : candidates.weight(this.first);
    if (this.firstWeight >= tickets) return this;
    this.second = this.position(candidates, even, tickets - this.firstWeight, this.first);
    this.secondWeight = even ? 1 : candidates.weight(this.second);
    return this;
  }

  /** A position by weight, never `except`. `tickets` is the sum of the weights of the others. */
  private position(candidates: Candidates, even: boolean, tickets: number, except: number): number {
    let ticket = this.lots.below(tickets);
    let last = 0;
    for (let i = 0; i < candidates.length; i++) {
      const weight = even ? 1 : candidates.weight(i);
      if (i === except || weight === 0) continue;
      last = i;
      ticket -= weight;
      if (ticket < 0) break;
    }
    return last;
  }
}
