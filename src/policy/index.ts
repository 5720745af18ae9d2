/**
 * The policy SDK, published as `longsplice/policy`: everything that a policy or its unit test imports. What
 * is exported here is a promise to plugin authors.
 */
export { z } from "zod";
export { Candidates } from "./candidates.js";
export { type GeoDatabase, openGeoDatabase, type Place } from "./geo.js";
export type { ReportedFigure } from "./load-layout.js";
export { isNetwork, NetworkTable } from "./networks.js";
export {
  type FakeBackend,
  FakeCandidates,
  type FakeHead,
  fakeCandidates,
  fakeContext,
  fakeEnv,
  fakeHead,
  fakeSummary,
  pick,
  seededRandom,
  spread,
} from "./testkit.js";
export {
  type Backend,
  type ByOptions,
  type ChoiceBasis,
  definePolicy,
  type ExchangeSummary,
  POLICY_API_VERSION,
  type Policy,
  type PolicyEnv,
  type PolicyModule,
  type PolicyNeeds,
  type RequestHead,
  type Schema,
  type SchemaIssue,
  type SchemaResult,
  type SelectContext,
} from "./types.js";
