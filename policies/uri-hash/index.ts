import { definePolicy, z } from "../../src/policy/index.js";
import { Bound, boundedLoad } from "../hashing/bound.js";
import { HashPolicy } from "../hashing/hash-policy.js";
import { basisOf, type HashKey, KeyReader } from "../hashing/key.js";
import { Rendezvous } from "../hashing/rendezvous.js";
import { Lots } from "../lots.js";

const keyOf = ({ query }: { query: boolean }): HashKey => (query ? "target" : "path");

/**
 * `uri-hash`: the same path goes to the same backend, by rendezvous hashing. Options: `query`, the query string counts too;
 * `boundedLoad`.
 */
export const uriHash = definePolicy({
  name: "uri-hash",
  apiVersion: 1,
  options: z.strictObject({ query: z.boolean().default(false), boundedLoad }).prefault({}),
  choosesBy: (options) => basisOf(keyOf(options), options.boundedLoad),
  needs: { headers: [] },
  create: (options, env) =>
    new HashPolicy(
      new KeyReader(keyOf(options), new Lots(env.random)),
      new Rendezvous(new Bound(options.boundedLoad)),
    ),
});
