import type { Backend, Candidates } from "../../src/policy/index.js";
import { finalize } from "./hash.js";
import { Seeds } from "./seeds.js";

/**
 * Weighted rendezvous hashing (README.md): every candidate draws a number from the hash of its address and
 * that of a key, and the highest score wins. A key moves only if its backend leaves, or if a new one outbids it.
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
      const draw = this.draw(a, b, backend) >>> 0;
      // Between equal weights the draws themselves decide: logarithms would cost more than all the rest.
      const ahead =
        weight === bestWeight ? draw - bestDraw : score(weight, draw) - score(bestWeight, bestDraw);
      // A tie is as good as impossible; the address settles it alike in every process.
      if (best < 0 || ahead > 0 || (ahead === 0 && backend.address < candidates.at(best).address)) {
        best = i;
        bestWeight = weight;
        bestDraw = draw;
      }
    }
    return best;
  }

  /** What a backend draws for a key: 32 bits, to be taken without a sign. (A function that returns more than 31 of them allocates.) */
  draw(a: number, b: number, backend: Backend): number {
    this.seeds.know(backend);
    const mixed = finalize(a ^ this.seeds.first(backend.slot)) + b;
    return finalize(mixed ^ this.seeds.second(backend.slot));
  }
}

/** What a backend of this weight bids with this draw (README.md): from above 0, growing with both. */
export function score(weight: number, draw: number): number {
  // Strictly between 0 and 1, so that the logarithm is finite and negative.
  return -weight / Math.log((draw + 0.5) / 2 ** 32);
}
