import type { PolicyModule } from "../src/policy/index.js";
import { leastConnections } from "./least-connections/index.js";
import { powerOfTwo } from "./power-of-two/index.js";
import { roundRobin } from "./round-robin/index.js";
import { uriHash } from "./uri-hash/index.js";

/** The policies that come with longsplice. */
export const builtinPolicies: readonly PolicyModule<unknown>[] = [
  roundRobin,
  leastConnections,
  powerOfTwo,
  uriHash,
];
