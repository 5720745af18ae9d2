/** `random`: a backend that lots decide, by weight; what the others are measured against. Not built in: it has no use. */
import { type Candidates, definePolicy, z } from "longsplice/policy";

export default definePolicy({
  name: "random",
  apiVersion: 1,
  options: z.strictObject({}).default({}),
  choosesBy: "load",
  needs: { headers: [] },
  create: (_options, env) => ({
    select(_head: unknown, candidates: Candidates): void {
      const total = candidates.totalWeight();
      let ticket = env.random() * (total || candidates.length);
      for (let i = 0; i < candidates.length; i++) {
        ticket -= total === 0 ? 1 : candidates.weight(i);
        if (ticket >= 0) continue;
        candidates.keep(i);
        return;
      }
    },
  }),
});
