import { definePolicy, z } from "../../src/policy/index.js";
import { Bound, boundedLoad } from "../hashing/bound.js";
import { HashPolicy } from "../hashing/hash-policy.js";
import { basisOf, hashKey, KeyReader, needsOf } from "../hashing/key.js";
import { TableChoice } from "../hashing/table-choice.js";
import { Lots } from "../lots.js";
import { Ring } from "./ring.js";

/** `ring-hash`: consistent hashing by a ring of virtual nodes. Options: `key`, `virtualNodes`, `boundedLoad`. */
export const ringHash = definePolicy({
  name: "ring-hash",
  apiVersion: 1,
  options: z
    .strictObject({
      key: hashKey.default("path"),
      virtualNodes: z.int().min(1).max(16_384).default(1024),
      boundedLoad,
    })
    .prefault({}),
  choosesBy: (options) => basisOf(options.key, options.boundedLoad),
  needs: ({ key }) => needsOf(key),
  create: ({ key, virtualNodes, boundedLoad }, env) =>
    new HashPolicy(
      new KeyReader(key, new Lots(env.random)),
      new TableChoice((members) => new Ring(virtualNodes, members), new Bound(boundedLoad), env),
    ),
});
