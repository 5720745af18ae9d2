/** Statistics of few values: medians and quartiles, because a busy machine makes outliers, not noise of one shape. */

/** Quantile with linear interpolation between neighbours; NaN without values. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const below = sorted[Math.floor(position)];
  const above = sorted[Math.ceil(position)];
  if (below === undefined || above === undefined) return Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** How one target compares with another over the rounds of a cell. */
export interface Ratio {
  /** Median of the one divided by the median of the other. */
  readonly ofMedians: number;
  /** Median and quartiles of the ratios round by round: what slows a whole round down cancels out in them. */
  readonly median: number;
  readonly q1: number;
  readonly q3: number;
}

/**
 * @param ones and others: the value of each round, in the same order
 * @throws RangeError if they are not pairs
 */
export function ratio(ones: readonly number[], others: readonly number[]): Ratio {
  if (ones.length !== others.length || ones.length === 0) {
    throw new RangeError(`cannot pair ${ones.length} with ${others.length} rounds`);
  }
  const pairs = ones.map((one, round) => one / (others[round] ?? Number.NaN));
  return {
    ofMedians: median(ones) / median(others),
    median: median(pairs),
    q1: quantile(pairs, 0.25),
    q3: quantile(pairs, 0.75),
  };
}
