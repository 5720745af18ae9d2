/** The files of a made-up web site: how large they are and how often each is asked for. */
import { fileSizes, type Law, requestSizes } from "./laws.js";
import type { Random } from "./random.js";

export interface File {
  /** Bytes. */
  readonly size: number;
  /** How many requests of a pass are for it. */
  readonly count: number;
}

/** How often each of so many files is asked for, after Zipf's law: the r-th most popular in proportion to 1/r, the last once. */
export function zipfCounts(files: number): number[] {
  return Array.from({ length: files }, (_, rank) => Math.round(files / (rank + 1)));
}

/**
 * Gives each size one of the counts, so that the sizes of what is *transferred* follow a law of their own: SURGE's matching.
 *
 * Put all requests on a line, those for the smallest files first. The law says to which stretch of it each size is
 * entitled. The counts are put on the line too, the largest first, and each goes to the size in whose stretch its
 * middle lies, or to the nearest that is still free.
 *
 * @param sizes ascending @param counts descending, as many
 * @returns the count of each size
 */
export function matchCounts(sizes: readonly number[], counts: readonly number[], law: Law): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const matched = new Array<number>(sizes.length).fill(0);
  let start = 0;
  let stretch = 0;
  for (const count of counts) {
    const middle = (start + count / 2) / total;
    while (stretch < sizes.length - 1 && law.cdf(sizes[stretch] ?? 0) < middle) stretch++;
    matched[nearestFree(matched, stretch)] = count;
    start += count;
  }
  return matched;
}

function nearestFree(taken: readonly number[], wanted: number): number {
  for (let away = 0; ; away++) {
    if (taken[wanted - away] === 0) return wanted - away;
    if (taken[wanted + away] === 0) return wanted + away;
  }
}

/** @param largest bytes @returns files, the most popular first */
export function makeFiles(files: number, largest: number, random: Random): File[] {
  const law = fileSizes(largest);
  const sizes = Array.from({ length: files }, () => Math.max(1, Math.round(law.sample(random))));
  sizes.sort((a, b) => a - b);
  const counts = matchCounts(sizes, zipfCounts(files), requestSizes(largest));
  return sizes.map((size, index) => ({ size, count: counts[index] ?? 1 })).sort((a, b) => b.count - a.count);
}
