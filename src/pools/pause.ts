/** How far a pause strays from the interval, as a part of it. */
const JITTER = 0.1;
/** As long as a timer can wait, in milliseconds; a longer one would end at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** How long to wait for the next turn, so that many of one interval do not fall into step. `random` is from 0 to below 1. */
export function pauseOf(interval: number, random: number): number {
  return Math.min(interval * (1 - JITTER + 2 * JITTER * random), LONGEST_MS);
}

/** How long to wait for the first turn, likewise: a small part of the interval. */
export function firstPauseOf(interval: number, random: number): number {
  return interval * JITTER * random;
}
