import { definePolicy, z } from "../../src/policy/index.js";
import { Bound, boundedLoad } from "../hashing/bound.js";
import { HashPolicy } from "../hashing/hash-policy.js";
import { headerName, KeyReader, needsOf } from "../hashing/key.js";
import { Rendezvous } from "../hashing/rendezvous.js";
import { Lots } from "../lots.js";

/** `header-hash`: the same value of a header goes to the same backend. Options: `header`, `absent`, `boundedLoad`. */
export const headerHash = definePolicy({
  name: "header-hash",
  apiVersion: 1,
  options: z
    .strictObject({ header: headerName, absent: z.enum(["random", "next"]).default("random"), boundedLoad })
    // So that the message is about the header that is missing, not about the options.
    .prefault({} as never),
  needs: ({ header }) => needsOf({ header }),
  create: ({ header, absent, boundedLoad }, env) =>
    new HashPolicy(
      new KeyReader({ header }, new Lots(env.random)),
      new Rendezvous(new Bound(boundedLoad)),
      absent === "random",
    ),
});
