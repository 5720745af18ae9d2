import { LongspliceError } from "../errors/index.js";
import type { PolicyRegistry } from "./registry.js";
import { fakeCandidates, fakeEnv } from "./testkit.js";
import { messageOf } from "./thrown.js";
import type { Backend } from "./types.js";

/** Each one costs a few more tries, and whoever has corrected so many can ask again. */
const MAX_REFUSALS = 10;

/** A message that names more backends blames none of them. */
const MAX_NAMED = 5;

/** A policy of a pool that is to be tried with the pool's backends. */
export interface Trial {
  readonly pool: string;
  readonly name: string;
  readonly options: unknown;
  readonly backends: readonly Omit<Backend, "slot">[];
}

/** What a policy has against being made. */
export interface Refusal {
  /** LS_POLICY_*, or what the SDK says by itself. */
  readonly error: LongspliceError;
  /** The index of the backend to blame, if it is surely one of them. */
  readonly backend?: number;
}

/**
 * Makes a policy with a pool's backends, as a worker would, and ends it at once; what comes of that. Never throws. An instance gets
 * memory of its own, and what it logs goes nowhere.
 *
 * Policies tell of the first backend that they do not want. If one tells the same of this backend alone, and not of none, it is the
 * backend; then the others may have something of the same kind. What is only said without that backend may be a consequence.
 */
export function tryPolicy(registry: PolicyRegistry, trial: Trial): Refusal[] {
  const { backends } = trial;
  const attempt = (some: Trial["backends"]) => attemptOf(registry, { ...trial, backends: some });
  const refusals: Refusal[] = [];
  for (let left = backends; refusals.length < MAX_REFUSALS; ) {
    const error = attempt(left);
    if (error === undefined) break;
    const says = (some: Trial["backends"]) => attempt(some)?.message === error.message;
    const named = left.filter(({ address }) => error.message.includes(address)).slice(0, MAX_NAMED);
    const culprit = named.length === 0 || says([]) ? undefined : named.find((backend) => says([backend]));
    if (culprit === undefined) return refusals.length > 0 ? refusals : [{ error }];
    refusals.push({ error, backend: backends.indexOf(culprit) });
    left = left.filter((backend) => backend !== culprit);
  }
  return refusals;
}

function attemptOf(registry: PolicyRegistry, trial: Trial): LongspliceError | undefined {
  const { pool, name } = trial;
  try {
    // Like what a worker gets these are copies, with which a policy may do as it likes.
    const { options, backends } = structuredClone({ options: trial.options, backends: trial.backends });
    const bytes = registry.sharedBytes(name, options);
    const shared = bytes === 0 ? null : new SharedArrayBuffer(bytes);
    const candidates = fakeCandidates(backends);
    const env = fakeEnv({ pool, backends: candidates.backends, candidates: () => candidates });
    registry.createChain([{ name, options, shared }], env).close();
    return undefined;
  } catch (error) {
    if (error instanceof LongspliceError) return error;
    // There may be no memory for what it wants to share.
    const detail = `policy "${name}" of pool "${pool}": ${messageOf(error)}`;
    return new LongspliceError("LS_POLICY_CREATE", detail, { cause: error });
  }
}
