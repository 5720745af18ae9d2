import type { Backend, Candidates } from "../../src/policy/index.js";
import { finalize } from "./hash.js";
import { Seeds } from "./seeds.js";

/**
 * Weighted rendezvous hashing (README.md): every candidate draws a number from the hash of its address and
 * that of a key, and the highest bid wins. A key moves only if its backend leaves, or if a new one outbids it.
 */
export class Rendezvous {
  private readonly seeds = new Seeds();

  constructor(backends: readonly Backend[]) {
    for (const backend of backends) this.seeds.know(backend);
  }

  /** The position of the winner for a key of which `a` and `b` are hashes; -1 if there is no candidate. */
  winner(a: number, b: number, candidates: Candidates): number {
    const winner = this.best(a, b, candidates, false);
    return winner >= 0 ? winner : this.best(a, b, candidates, true);
  }

  /** The winner by weights; with `even` as if all weights were the same. -1 if nobody has a weight. */
  private best(a: number, b: number, candidates: Candidates, even: boolean): number {
    let best = -1;
    let bestWeight = 0;
    let bestDraw = 0;
    const count = candidates.length;
    for (let i = 0; i < count; i++) {
      const weight = even ? 1 : candidates.weight(i);
      if (weight === 0) continue;
      const backend = candidates.at(i);
      const draw = this.draw(a, b, backend);
      const lead = best < 0 ? 1 : compareBids(weight, draw, bestWeight, bestDraw);
      // A tie is as good as impossible; the address settles it alike in every process.
      if (lead > 0 || (lead === 0 && backend.address < candidates.at(best).address)) {
        best = i;
        bestWeight = weight;
        bestDraw = draw;
      }
    }
    return best;
  }

  /** What a backend draws for a key: a whole number of 32 bits with a sign, because others would not all fit into a small integer. */
  draw(a: number, b: number, backend: Backend): number {
    this.seeds.know(backend);
    const mixed = finalize(a ^ this.seeds.first(backend.slot)) + b;
    return finalize(mixed ^ this.seeds.second(backend.slot));
  }
}

/**
 * Above 0 if the first bids more than the other (README.md: -weight / ln h, from above 0, growing with both), below if less. Takes
 * draws of `Rendezvous.draw`.
 */
export function compareBids(weight: number, draw: number, otherWeight: number, otherDraw: number): number {
  // Between equal weights the draws themselves decide: logarithms would cost more than all the rest.
  if (weight === otherWeight) return draw === otherDraw ? 0 : draw > otherDraw ? 1 : -1;
  // h is strictly between 0 and 1, so that the logarithms are finite and negative.
  const h = (draw + 2 ** 31 + 0.5) / 2 ** 32;
  const otherH = (otherDraw + 2 ** 31 + 0.5) / 2 ** 32;
  const bid = otherWeight * Math.log(h);
  const otherBid = weight * Math.log(otherH);
  return bid === otherBid ? 0 : bid > otherBid ? 1 : -1;
}
