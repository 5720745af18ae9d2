import type { PolicyModule } from "../src/policy/index.js";
import { contentType } from "./content-type/index.js";
import { cookieSticky } from "./cookie-sticky/index.js";
import { headerHash } from "./header-hash/index.js";
import { hotReplication } from "./hot-replication/index.js";
import { hybrid } from "./hybrid/index.js";
import { inverseLoad } from "./inverse-load/index.js";
import { lard } from "./lard/index.js";
import { lardReplicated } from "./lard-replicated/index.js";
import { leastConnections } from "./least-connections/index.js";
import { leastLoad } from "./least-load/index.js";
import { leastTime } from "./least-time/index.js";
import { maglev } from "./maglev/index.js";
import { maxLoad } from "./max-load/index.js";
import { nearest } from "./nearest/index.js";
import { peakEwma } from "./peak-ewma/index.js";
import { powerOfTwo } from "./power-of-two/index.js";
import { priority } from "./priority/index.js";
import { ringHash } from "./ring-hash/index.js";
import { roundRobin } from "./round-robin/index.js";
import { sourceHash } from "./source-hash/index.js";
import { uriHash } from "./uri-hash/index.js";
import { weightedSplit } from "./weighted-split/index.js";

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
  leastLoad,
  inverseLoad,
  maxLoad,
  peakEwma,
  leastTime,
  weightedSplit,
  priority,
  lard,
  lardReplicated,
  maglev,
  ringHash,
  sourceHash,
  headerHash,
  cookieSticky,
];
