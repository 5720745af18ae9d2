import { type Candidates, definePolicy, type Policy } from "../../src/policy/index.js";
import { Loads, loadOptions } from "../loads.js";
import { Lots } from "../lots.js";

/** Takes the candidate with the lowest load per weight; draws lots among equals, by weight. */
class LeastLoad implements Policy {
  constructor(
    private readonly loads: Loads,
    private readonly lots: Lots,
  ) {}

  select(_head: unknown, candidates: Candidates): void {
    if (candidates.length <= 1) return;
    this.loads.measure(candidates);
    candidates.keep(this.loads.scores.lowestPerWeight(candidates, this.lots));
  }
}

/** `least-load`: the lowest reported load. Options `metric`, or `weights` of several. */
export const leastLoad = definePolicy({
  name: "least-load",
  apiVersion: 1,
  // What is reported is old when it is known; what is in flight is not, and keeps a herd from the one that seemed idle.
  options: loadOptions({ cpu: 1, connections: 1 }).prefault({}),
  choosesBy: "load",
  needs: { headers: [] },
  create: (weights, env) => new LeastLoad(new Loads(weights), new Lots(env.random)),
});
