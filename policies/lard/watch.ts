import type { PolicyEnv } from "../../src/policy/index.js";
import { type LocalityTable, MOVES } from "./table.js";

/** How often loads are looked at while nobody asks, milliseconds. */
const LOOK_MS = 1000;

/** Looks from one call to the next, at most, when calls are of no use. */
const LONGEST_PAUSE = 64;

/**
 * Looks at the pool from time to time, in one of its workers: a target that was placed passes in the kernel, and as long as all do,
 * no policy is asked.
 *
 * Loads may differ for a reason that no target can follow, a standby tier of `priority` for example. So after each time that nothing
 * moved, it takes twice as long until requests are called back again.
 *
 * @param imbalanced whether requests should come back to be placed anew; must not throw
 * @param due as `imbalanced`, for another reason, which is said only once
 * @returns ends it
 */
export function watch(
  env: PolicyEnv,
  table: LocalityTable,
  imbalanced: () => boolean,
  due: () => boolean = () => false,
): () => void {
  if (env.worker !== 0) return () => {};
  let [pause, left] = [0, 0];
  let moves = table.get(MOVES);
  const timer = setInterval(() => {
    if (due()) env.reconsider();
    const before = moves;
    moves = table.get(MOVES);
    if (moves !== before) pause = left = 0;
    if (--left > 0 || !imbalanced()) return;
    pause = Math.min(Math.max(1, 2 * pause), LONGEST_PAUSE);
    left = pause;
    env.reconsider();
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
