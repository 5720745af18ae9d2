/**
 * The distributions of SURGE: P. Barford and M. Crovella, "Generating Representative Web Workloads for Network and Server
 * Performance Evaluation", SIGMETRICS '98. Made from what is published there; nothing of the authors' program is in here.
 */
import type { Random } from "./random.js";

/** A distribution on the positive numbers. */
export interface Law {
  /** The share of values up to x. */
  cdf(x: number): number;
  sample(random: Random): number;
}

/** Of the standard normal distribution; Abramowitz and Stegun 7.1.26, exact to 1.5e-7. */
function normalCdf(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * x);
  const polynomial =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const upper = (polynomial * Math.exp(-x * x)) / 2;
  return z < 0 ? upper : 1 - upper;
}

/** @param mu and sigma: of the natural logarithm */
export function lognormal(mu: number, sigma: number): Law {
  return {
    cdf: (x) => (x <= 0 ? 0 : normalCdf((Math.log(x) - mu) / sigma)),
    sample(random) {
      // Box and Muller; 1 - u is never zero.
      const radius = Math.sqrt(-2 * Math.log(1 - random()));
      return Math.exp(mu + sigma * radius * Math.cos(2 * Math.PI * random()));
    },
  };
}

/** @param k the smallest value @param most values above it do not occur: what is below keeps its proportions */
export function pareto(k: number, alpha: number, most = Number.POSITIVE_INFINITY): Law {
  const whole = 1 - (k / most) ** alpha;
  return {
    cdf: (x) => (x <= k ? 0 : Math.min(1, (1 - (k / x) ** alpha) / whole)),
    sample: (random) => k / (1 - random() * whole) ** (1 / alpha),
  };
}

export function weibull(shape: number, scale: number): Law {
  return {
    cdf: (x) => (x <= 0 ? 0 : 1 - Math.exp(-((x / scale) ** shape))),
    sample: (random) => scale * (-Math.log(1 - random())) ** (1 / shape),
  };
}

/** The share `below` of the values has the law `body`, cut off at `split`; the others have the law `tail`, which begins there. */
function spliced(body: Law, tail: Law, split: number, below: number): Law {
  const kept = body.cdf(split);
  return {
    cdf: (x) => (x <= split ? (below * body.cdf(x)) / kept : below + (1 - below) * tail.cdf(x)),
    sample(random) {
      if (random() >= below) return tail.sample(random);
      for (;;) {
        const value = body.sample(random);
        if (value <= split) return value;
      }
    },
  };
}

/** Where the body of the file sizes ends and the tail begins, in bytes. */
export const tailFrom = 133_000;

/** Bytes of the distinct files of a server. @param most the paper has no limit */
export const fileSizes = (most?: number): Law =>
  spliced(lognormal(9.357, 1.318), pareto(tailFrom, 1.1, most), tailFrom, 0.93);

/** Bytes of what is transferred, file by file. @param most needed: without a limit the mean is infinite */
export const requestSizes = (most: number): Law => pareto(1000, 1, most);

/** Files of a page. The law is continuous, hence rounded to whole files. */
export const filesOfPage = pareto(1, 2.43);

/** How many other pages were asked for since the last time, itself included: the depth in an LRU stack. */
export const stackDistances = lognormal(1.5, 0.8);

/**
 * Seconds between the files of a page. Some texts name the two parameters the other way round; only these give times
 * below the second that the paper takes for the limit of this kind.
 */
export const activeOff = weibull(1.46, 0.382);

/** Seconds between two pages. */
export const inactiveOff = pareto(1, 1.5);
