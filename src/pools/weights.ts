/** So often the share grows: each time, policies and links are asked again. */
const STEPS = 10;

/** The part of its weight, from a tenth to 1, that a backend gets so many milliseconds after it came back. */
export function slowStartShare(elapsed: number, duration: number): number {
  if (elapsed >= duration) return 1;
  return (Math.floor((elapsed * STEPS) / duration) + 1) / STEPS;
}

/** A configured weight, and the part of it that is in effect, from 0 to 1. */
export interface Weighted {
  readonly weight: number;
  readonly share: number;
}

/** As fine as parts of a weight can be. */
const FINEST = 100;
/** What the weights of a pool may be together: policies draw lots among so many. */
const MOST = 2 ** 30;

/**
 * The weights in effect of all backends of a pool, whole numbers whose proportions count. Only a share of 0 makes a weight 0.
 * @param fine makes all weights so many times larger that a part of the least one is still a number; a policy that remembers who is
 *   owed how much would take long to pay it back in smaller coin, so a pool that has begun with it stays with it
 */
export function weightsInEffect(backends: readonly Weighted[], fine: boolean): number[] {
  const total = backends.reduce((sum, { weight }) => sum + weight, 0);
  const scale = fine ? Math.max(1, Math.min(FINEST, Math.floor(MOST / Math.max(1, total)))) : 1;
  return backends.map(({ weight, share }) => {
    const exact = weight * share * scale;
    return exact === 0 ? 0 : Math.max(1, Math.round(exact));
  });
}
