import type { PolicyEnv } from "../../src/policy/index.js";

/** How often loads are looked at while nobody asks, milliseconds. */
const LOOK_MS = 1000;

/**
 * Looks at the pool from time to time, in one of its workers: a target that was placed passes in the kernel, and as long as all do,
 * no policy is asked.
 *
 * @param due whether requests should come back to be placed anew; must not throw
 * @returns ends it
 */
export function watch(env: PolicyEnv, due: () => boolean): () => void {
  if (env.worker !== 0) return () => {};
  const timer = setInterval(() => {
    if (due()) env.reconsider();
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
