import { type Candidates, definePolicy, type Policy, z } from "../../src/policy/index.js";
import { Lots } from "../lots.js";

/** Takes the candidate with the fewest exchanges in flight per weight; draws lots among equals, by weight. */
class LeastConnections implements Policy {
  constructor(private readonly lots: Lots) {}

  select(_head: unknown, candidates: Candidates): void {
    const even = candidates.totalWeight() === 0;
    let best = -1;
    let bestActive = 0;
    let bestWeight = 0;
    // Weight of all candidates as good as the best one.
    let tied = 0;
    for (let i = 0; i < candidates.length; i++) {
      const weight = even ? 1 : candidates.weight(i);
      if (weight === 0) continue;
      const active = candidates.active(i);
      // active/weight < bestActive/bestWeight, without the rounding of a division
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
    if (best < 0) return;
    candidates.keep(tied === bestWeight ? best : this.draw(candidates, even, best, tied));
  }

  /** One of the candidates whose load per weight equals that of `best`. */
  private draw(candidates: Candidates, even: boolean, best: number, tied: number): number {
    const active = candidates.active(best);
    const per = even ? 1 : candidates.weight(best);
    let ticket = this.lots.below(tied);
    for (let i = best; i < candidates.length; i++) {
      const weight = even ? 1 : candidates.weight(i);
      // Loads are live: one may have changed since they were compared, then it just draws no lot.
      if (weight === 0 || candidates.active(i) * per !== active * weight) continue;
      ticket -= weight;
      if (ticket < 0) return i;
    }
    return best;
  }
}

/** `least-connections`: the fewest exchanges in flight, in proportion to the weights. No options. */
export const leastConnections = definePolicy({
  name: "least-connections",
  apiVersion: 1,
  options: z.strictObject({}).default({}),
  choosesBy: "load",
  needs: { headers: [] },
  create: (_options, env) => new LeastConnections(new Lots(env.random)),
});
