import type { PolicyModule } from "../src/policy/index.js";
import { contentType } from "./content-type/index.js";
import { hotReplication } from "./hot-replication/index.js";
import { hybrid } from "./hybrid/index.js";
import { leastConnections } from "./least-connections/index.js";
import { nearest } from "./nearest/index.js";
import { powerOfTwo } from "./power-of-two/index.js";
import { roundRobin } from "./round-robin/index.js";
import { uriHash } from "./uri-hash/index.js";

/** The policies that come with longsplice. */
export const builtinPolicies: readonly PolicyModule<unknown>[] = [
  roundRobin,
  leastConnections,
  powerOfTwo,
  uriHash,
  hybrid,
  hotReplication,
  contentType,
  nearest,
];
