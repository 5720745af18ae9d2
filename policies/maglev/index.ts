import { definePolicy, z } from "../../src/policy/index.js";
import { Bound, boundedLoad } from "../hashing/bound.js";
import { HashPolicy } from "../hashing/hash-policy.js";
import { basisOf, hashKey, KeyReader, needsOf } from "../hashing/key.js";
import { TableChoice } from "../hashing/table-choice.js";
import { Lots } from "../lots.js";
import { MaglevTable } from "./table.js";

/** `maglev`: consistent hashing by Google's lookup table. Options: `key`, `tableSize`, `boundedLoad`. */
export const maglev = definePolicy({
  name: "maglev",
  apiVersion: 1,
  options: z
    .strictObject({
      key: hashKey.default("path"),
      tableSize: z
        .int()
        .min(1009)
        .max(5_000_011)
        .refine(isPrime, "expected a prime number, for example 65537 or 655373")
        .default(65_537),
      boundedLoad,
    })
    .prefault({}),
  choosesBy: (options) => basisOf(options.key, options.boundedLoad),
  needs: ({ key }) => needsOf(key),
  create: ({ key, tableSize, boundedLoad }, env) =>
    new HashPolicy(
      new KeyReader(key, new Lots(env.random)),
      new TableChoice((members) => new MaglevTable(tableSize, members), new Bound(boundedLoad), env),
    ),
});

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return true;
}
