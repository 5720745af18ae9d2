import { definePolicy, z } from "../../src/policy/index.js";
import { Bound, boundedLoad } from "../hashing/bound.js";
import { HashPolicy } from "../hashing/hash-policy.js";
import { basisOf, KeyReader } from "../hashing/key.js";
import { Rendezvous } from "../hashing/rendezvous.js";
import { TableChoice } from "../hashing/table-choice.js";
import { Lots } from "../lots.js";
import { Modulo } from "./modulo.js";

/** `source-hash`: the same client goes to the same backend. Options: `rule`, `boundedLoad`. */
export const sourceHash = definePolicy({
  name: "source-hash",
  apiVersion: 1,
  options: z
    .strictObject({ rule: z.enum(["rendezvous", "modulo"]).default("rendezvous"), boundedLoad })
    .prefault({}),
  choosesBy: ({ boundedLoad }) => basisOf("client", boundedLoad),
  needs: { headers: [] },
  create: ({ rule, boundedLoad }, env) => {
    const bound = new Bound(boundedLoad);
    return new HashPolicy(
      new KeyReader("client", new Lots(env.random)),
      rule === "modulo"
        ? new TableChoice((members) => new Modulo(members), bound, env)
        : new Rendezvous(bound),
    );
  },
});
