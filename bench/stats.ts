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

export const ratioText = ({ ofMedians, q1, q3 }: Ratio): string =>
  `${ofMedians.toFixed(2)} (${q1.toFixed(2)}-${q3.toFixed(2)})`;

/** How much more one target needs than another over the rounds of a cell. */
export interface Difference {
  readonly ofMedians: number;
  /** Quartiles of the differences round by round. */
  readonly q1: number;
  readonly q3: number;
}

function pairs(ones: readonly number[], others: readonly number[]): [one: number, other: number][] {
  if (ones.length !== others.length || ones.length === 0) {
    throw new RangeError(`cannot pair ${ones.length} with ${others.length} rounds`);
  }
  return ones.map((one, round) => [one, others[round] ?? Number.NaN]);
}

/**
 * @param ones and others: the value of each round, in the same order
 * @throws RangeError if they are not pairs
 */
export function difference(ones: readonly number[], others: readonly number[]): Difference {
  const differences = pairs(ones, others).map(([one, other]) => one - other);
  return {
    ofMedians: median(ones) - median(others),
    q1: quantile(differences, 0.25),
    q3: quantile(differences, 0.75),
  };
}

/**
 * @param ones and others: the value of each round, in the same order
 * @throws RangeError if they are not pairs
 */
export function ratio(ones: readonly number[], others: readonly number[]): Ratio {
  const quotients = pairs(ones, others).map(([one, other]) => one / other);
  return {
    ofMedians: median(ones) / median(others),
    median: median(quotients),
    q1: quantile(quotients, 0.25),
    q3: quantile(quotients, 0.75),
  };
}
