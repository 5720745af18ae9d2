import { type Candidates, definePolicy, type Policy, z } from "../../src/policy/index.js";
import { ExchangeLoads } from "../exchange-loads.js";
import { Lots } from "../lots.js";

/** Takes the candidate with the fewest exchanges in flight per weight; draws lots among equals, by weight. */
export class LeastConnections implements Policy {
  private readonly loads: ExchangeLoads;

  constructor(lots: Lots) {
    this.loads = new ExchangeLoads(lots);
  }

  select(_head: unknown, candidates: Candidates): void {
    this.loads.take(candidates);
    const least = this.loads.least();
    if (least >= 0) candidates.keep(least);
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
