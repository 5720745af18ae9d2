/** What is asked for in the simulation: files, how popular they are, and the order of the requests. */
import { seededRandom } from "../../src/policy/index.js";

export interface Workload {
  /** Bytes of each file, the most popular one first. */
  readonly sizes: Int32Array;
  /** The requested files, one after the other. */
  readonly trace: Int32Array;
}

export interface WorkloadShape {
  readonly files: number;
  readonly totalBytes: number;
  readonly requests: number;
  /** Popularity of the file of rank r, from 1: (r + offset) ^ -exponent. */
  readonly exponent: number;
  readonly offset: number;
  /** One more file, which gets this share of all requests, and is as large as the mean of the others. */
  readonly hotShare?: number;
}

/** Standard deviation of the logarithm of a file's size. With the mean of the Rice set the median is 12 kB. */
const SIZE_SIGMA = 1.5;

const SEED = 1998;

/** Makes a workload; the same shape gives the same one. */
export function makeWorkload(shape: WorkloadShape): Workload {
  const random = seededRandom(SEED);
  const sizes = drawSizes(shape, random);
  return { sizes, trace: drawTrace(shape, random) };
}

/** Sizes from a lognormal distribution, scaled to the wanted total. They do not depend on the rank. */
function drawSizes({ files, totalBytes, hotShare }: WorkloadShape, random: () => number): Int32Array {
  const draws = Float64Array.from({ length: files }, () => Math.exp(SIZE_SIGMA * normal(random)));
  const scale = totalBytes / draws.reduce((sum, size) => sum + size, 0);
  const sizes = new Int32Array(files + (hotShare === undefined ? 0 : 1));
  sizes.forEach((_, file) => {
    const size = file < files ? (draws[file] as number) * scale : totalBytes / files;
    sizes[file] = Math.max(1, Math.round(size));
  });
  return sizes;
}

/** A draw from the standard normal distribution (Box and Muller). */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Independent draws: what popularity makes of locality in time is in it, more is not. */
function drawTrace(shape: WorkloadShape, random: () => number): Int32Array {
  const cumulative = cumulativePopularity(shape);
  const total = cumulative.at(-1) as number;
  const { files, requests, hotShare = 0 } = shape;
  return Int32Array.from({ length: requests }, () => {
    if (hotShare > 0 && random() < hotShare) return files;
    return firstAbove(cumulative, random() * total);
  });
}

/** Sums of the popularities of the files up to each, not normalised. */
function cumulativePopularity({ files, exponent, offset }: WorkloadShape): Float64Array {
  const cumulative = new Float64Array(files);
  let sum = 0;
  for (let file = 0; file < files; file++) {
    sum += (file + 1 + offset) ** -exponent;
    cumulative[file] = sum;
  }
  return cumulative;
}

/** The first index whose value is above the wanted one; the last if none is. */
function firstAbove(sorted: Float64Array, wanted: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) > wanted) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Bytes of the most popular files that get this share of the requests, by the popularities themselves. */
export function coveringBytes(shape: WorkloadShape, sizes: Int32Array, share: number): number {
  const cumulative = cumulativePopularity(shape);
  const last = firstAbove(cumulative, share * (cumulative.at(-1) as number));
  return sizes.subarray(0, last + 1).reduce((sum, size) => sum + size, 0);
}
