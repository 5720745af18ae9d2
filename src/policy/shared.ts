/**
 * What `longsplice/policy` is to a plugin in the proxy (tsconfig.plugins.json): the SDK that is there already. Every
 * reload loads plugins into a module graph of their own, and Node forgets no module: another SDK with another zod
 * would stay behind each time, about 2 MB for each thread.
 */
import type * as Sdk from "./index.js";

const sdk = Reflect.get(globalThis, Symbol.for("longsplice/policy")) as typeof Sdk;

export const {
  Candidates,
  definePolicy,
  FakeCandidates,
  fakeCandidates,
  fakeContext,
  fakeEnv,
  fakeHead,
  fakeSummary,
  isNetwork,
  NetworkTable,
  openGeoDatabase,
  POLICY_API_VERSION,
  pick,
  seededRandom,
  spread,
  z,
} = sdk;
