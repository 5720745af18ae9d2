import { z } from "zod";
import { MAX_NEEDED_HEADERS } from "../dataplane/head-view.js";
import { formatAddress, resolveAddress } from "./address.js";
import type { Issue, Path } from "./problem.js";
import { fields, issue } from "./raw.js";
import type { KnownPolicies } from "./rules.js";
import { poolKeys } from "./schema.js";
import { oneLine } from "./show.js";

/** What a trial needs to know besides the configuration. */
interface TrialContext {
  readonly policies: KnownPolicies;
  /** Where relative paths begin. */
  readonly folder: string;
  /** What is wrong with the configuration anyway. */
  readonly issues: readonly Issue[];
}

/** All that policies are made of. */
const tried = z.object({ policy: poolKeys.shape.policy, backends: poolKeys.shape.backends });

/**
 * What policies have against the backends of their pools, which they only say when they are made, and what is too much together.
 * Passes over policies and backends that have another issue, but not those beside them, so that one run reports everything.
 */
export function policyTrials(value: unknown, { policies, folder, issues }: TrialContext): Issue[] {
  const isWrong = (place: Path) => issues.some(({ path }) => place.every((step, i) => path[i] === step));
  return Object.entries(fields(fields(value).pools)).flatMap(([pool, entries]) => {
    const at: Path = ["pools", pool];
    const { data } = tried.safeParse(entries);
    if (data === undefined || isWrong([...at, "backends"])) return [];
    const backends = data.backends.map((backend) => ({
      ...backend,
      address: formatAddress(resolveAddress(backend.address, folder)),
    }));
    const refused = data.policy.flatMap(({ name, options }, index) => {
      const place = [...at, "policy", index];
      if (isWrong(place)) return [];
      return policies.refusals({ pool, name, options, backends }).map(({ error, backend }) => {
        const blamed = backend === undefined ? place : [...at, "backends", backend];
        return issue(blamed, error.code, oneLine(error.message));
      });
    });
    const place = [...at, "policy"];
    if (refused.length > 0 || isWrong(place)) return refused;
    const { length } = policies.headersFor(data.policy.map(({ name, options }) => ({ name, options })));
    if (length <= MAX_NEEDED_HEADERS) return [];
    const message = `the policies need ${length} headers, expected at most ${MAX_NEEDED_HEADERS}`;
    return [issue(place, "LS_POLICY_CREATE", message)];
  });
}
