import { type Candidates, definePolicy, type Policy, z } from "../../src/policy/index.js";
import { Lots } from "../lots.js";

/** Draws two different candidates by weight and takes the one with fewer exchanges in flight per weight. */
class PowerOfTwo implements Policy {
  constructor(private readonly lots: Lots) {}

  select(_head: unknown, candidates: Candidates): void {
    if (candidates.length <= 1) return;
    const total = candidates.totalWeight();
    const even = total === 0;
    const tickets = even ? candidates.length : total;
    const first = this.draw(candidates, even, tickets, -1);
    const firstWeight = even ? 1 : candidates.weight(first);
    // Nobody else has a weight: there is nothing to compare with.
    if (firstWeight === tickets) {
      candidates.keep(first);
      return;
    }
    const second = this.draw(candidates, even, tickets - firstWeight, first);
    const secondWeight = even ? 1 : candidates.weight(second);
    // A tie goes to the first draw, so that idle backends are chosen exactly by weight.
    const better = candidates.active(second) * firstWeight < candidates.active(first) * secondWeight;
    candidates.keep(better ? second : first);
  }

  /** A position by weight, never `except`. `tickets` is the sum of the weights of the others. */
  private draw(candidates: Candidates, even: boolean, tickets: number, except: number): number {
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

/** `power-of-two`: the less loaded of two random candidates. No options. */
export const powerOfTwo = definePolicy({
  name: "power-of-two",
  apiVersion: 1,
  options: z.strictObject({}).default({}),
  choosesBy: "load",
  needs: { headers: [] },
  create: (_options, env) => new PowerOfTwo(new Lots(env.random)),
});
