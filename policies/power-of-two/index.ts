import { type Candidates, definePolicy, type Policy, z } from "../../src/policy/index.js";
import { Pair } from "../pair.js";

/** Draws two different candidates by weight and takes the one with fewer exchanges in flight per weight. */
class PowerOfTwo implements Policy {
  constructor(private readonly pair: Pair) {}

  select(_head: unknown, candidates: Candidates): void {
    if (candidates.length <= 1) return;
    const pair = this.pair.draw(candidates);
    // A tie goes to the first draw, so that idle backends are chosen exactly by weight.
    const better =
      candidates.active(pair.second) * pair.firstWeight < candidates.active(pair.first) * pair.secondWeight;
    candidates.keep(better ? pair.second : pair.first);
  }
}

/** `power-of-two`: the less loaded of two random candidates. No options. */
export const powerOfTwo = definePolicy({
  name: "power-of-two",
  apiVersion: 1,
  options: z.strictObject({}).default({}),
  choosesBy: "load",
  needs: { headers: [] },
  create: (_options, env) => new PowerOfTwo(new Pair(env.random)),
});
