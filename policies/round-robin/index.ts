import { type Candidates, definePolicy, type Policy, z } from "../../src/policy/index.js";
import { Turns } from "./turns.js";

class RoundRobin implements Policy {
  constructor(private readonly turns: Turns) {}

  select(_head: unknown, candidates: Candidates): void {
    this.turns.take(candidates);
  }
}

/** `round-robin`: takes turns, in proportion to the weights. No options. */
export const roundRobin = definePolicy({
  name: "round-robin",
  apiVersion: 1,
  options: z.strictObject({}).default({}),
  choosesBy: "load",
  needs: { headers: [] },
  create: (_options, env) => new RoundRobin(new Turns(env.worker)),
});
