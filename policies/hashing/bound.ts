import { type Candidates, z } from "../../src/policy/index.js";

/** The option `boundedLoad` of all policies that hash: how often its share of the load a backend may have; without it, no bound. */
export const boundedLoad = z
  .number({ error: "expected a factor, for example 1.25" })
  .min(1, "expected no less than 1: all backends together must have room for all requests")
  .max(100)
  .optional();

/**
 * Consistent hashing with bounded loads: a backend takes a request only while it has, this one included, at most the factor times its
 * share of all requests in flight, rounded up. As the factor is at least 1, one backend always has room.
 *
 * Source: Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018 (arXiv 1608.01350, 2016).
 */
export class Bound {
  /** Thousandths, so that products are exact; 0: no bound. */
  private readonly factor: number;
  /** Both sides of the comparison in `admits`. Numbers of this size would lie on the heap if they were fields. */
  private readonly sides = new Float64Array(2);

  constructor(factor: number | undefined) {
    this.factor = Math.round((factor ?? 0) * 1000);
  }

  /** Takes the load of the candidates, before `admits`. If all weigh 0, each counts as 1. */
  measure(candidates: Candidates): void {
    if (this.factor === 0) return;
    const end = candidates.length;
    let total = 0;
    let requests = 1;
    let requestsOfAll = 1;
    for (let i = 0; i < end; i++) {
      const weight = candidates.weight(i);
      const active = candidates.active(i);
      total += weight;
      requestsOfAll += active;
      if (weight > 0) requests += active;
    }
    this.sides[0] = (total === 0 ? end : total) * 1000;
    this.sides[1] = (total === 0 ? requestsOfAll : requests) * this.factor;
  }

  /** Whether a candidate of this weight may take one more. */
  admits(candidates: Candidates, position: number, weight: number): boolean {
    if (this.factor === 0) return true;
    // active + 1 <= ceil(factor * requests * weight / total), without the division
    return candidates.active(position) * (this.sides[0] as number) < (this.sides[1] as number) * weight;
  }
}

/** Admits everybody. */
export const UNBOUNDED = new Bound(undefined);
