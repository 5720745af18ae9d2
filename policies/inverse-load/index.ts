import { type Candidates, definePolicy, type Policy } from "../../src/policy/index.js";
import { Loads, loadOptions } from "../loads.js";
import { Lots } from "../lots.js";

/** Lower loads are taken to be this: an idle backend gets much, but not everything. */
const LEAST = 0.05;
/** Different places that a lot can fall on. */
const PLACES = 2 ** 30;

/** Draws a candidate with a probability in proportion to weight / load. */
class InverseLoad implements Policy {
  constructor(
    private readonly loads: Loads,
    private readonly lots: Lots,
  ) {}

  select(_head: unknown, candidates: Candidates): void {
    if (candidates.length <= 1) return;
    this.loads.measure(candidates);
    const { values } = this.loads.scores;
    const even = candidates.totalWeight() === 0;
    let total = 0;
    for (let i = 0; i < candidates.length; i++) {
      const share = (even ? 1 : candidates.weight(i)) / Math.max(values[i] as number, LEAST);
      values[i] = share;
      total += share;
    }
    let ticket = (this.lots.below(PLACES) / PLACES) * total;
    let chosen = 0;
    for (let i = 0; i < candidates.length; i++) {
      const share = values[i] as number;
      if (share === 0) continue;
      chosen = i;
      ticket -= share;
      if (ticket < 0) break;
    }
    candidates.keep(chosen);
  }
}

/** `inverse-load`: random, with a probability inverse to the reported load. Options as `least-load`. */
export const inverseLoad = definePolicy({
  name: "inverse-load",
  apiVersion: 1,
  options: loadOptions({ cpu: 1 }).prefault({}),
  choosesBy: "load",
  needs: { headers: [] },
  create: (weights, env) => new InverseLoad(new Loads(weights), new Lots(env.random)),
});
