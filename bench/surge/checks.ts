/** How well values fit a law: what SURGE's own analysers look at. */
import type { Law } from "./laws.js";

/** Kolmogorov and Smirnov: the largest distance between the shares of values up to x and what the law says. */
export function ksDistance(values: readonly number[], law: Pick<Law, "cdf">): number {
  return weightedKsDistance(
    values.map((value) => [value, 1]),
    law,
  );
}

/** The same for values that count several times each. */
export function weightedKsDistance(
  values: readonly (readonly [value: number, count: number])[],
  law: Pick<Law, "cdf">,
): number {
  const sorted = [...values].sort(([a], [b]) => a - b);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  let below = 0;
  let furthest = 0;
  for (const [value, count] of sorted) {
    const wanted = law.cdf(value);
    furthest = Math.max(furthest, Math.abs(wanted - below / total));
    below += count;
    furthest = Math.max(furthest, Math.abs(wanted - below / total));
  }
  return furthest;
}

/** The same for whole numbers that are the rounded values of a continuous law. */
export function roundedKsDistance(values: readonly number[], law: Pick<Law, "cdf">): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  let below = 0;
  let furthest = 0;
  for (const [value, count] of [...counts].sort(([a], [b]) => a - b)) {
    below += count;
    furthest = Math.max(furthest, Math.abs(law.cdf(value + 0.5) - below / values.length));
  }
  return furthest;
}

/**
 * The tail index, from the slope of the log-log complementary distribution (LLCD): of a Pareto tail it is -alpha. The line is
 * that of least squares through points that are evenly spaced in log x, so that the many small values do not outweigh the few
 * large ones, up to where 30 values are left: beyond, chance rules.
 *
 * @param from where the tail begins
 */
export function tailIndex(values: readonly number[], from: number): number {
  const tail = values.filter((value) => value > from).sort((a, b) => a - b);
  const last = tail[tail.length - 30];
  if (last === undefined) throw new RangeError(`only ${tail.length} values are above ${from}`);
  const points: [x: number, y: number][] = [];
  const steps = 20;
  for (let step = 0; step < steps; step++) {
    const x = from * (last / from) ** (step / steps);
    const above = tail.length - tail.findLastIndex((value) => value <= x) - 1;
    points.push([Math.log(x), Math.log(above)]);
  }
  const mean = (pick: 0 | 1) => points.reduce((sum, point) => sum + point[pick], 0) / steps;
  const [meanX, meanY] = [mean(0), mean(1)];
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return -covariance / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}

/** How deep in an LRU stack each element is found; what was not seen before has no depth. */
export function stackDistancesOf(sequence: readonly number[]): number[] {
  const stack: number[] = [];
  const distances: number[] = [];
  for (const element of sequence) {
    const depth = stack.indexOf(element);
    if (depth >= 0) {
      distances.push(depth + 1);
      stack.splice(depth, 1);
    }
    stack.unshift(element);
  }
  return distances;
}
