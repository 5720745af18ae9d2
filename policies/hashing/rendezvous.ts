import type { Backend, Candidates } from "../../src/policy/index.js";
import type { Bound } from "./bound.js";
import type { Chooser } from "./hash-policy.js";
import { Seeds } from "./seeds.js";
import { finalize } from "./text-hash.js";

/**
 * Weighted rendezvous hashing (uri-hash/README.md): every candidate draws a number from the hash of its address and of the key, and
 * the highest score wins. A key moves only if its backend leaves, or if another one outbids it.
 */
export class Rendezvous implements Chooser {
  private readonly seeds = new Seeds();

  constructor(
    private readonly bound: Bound,
    backends: readonly Backend[],
  ) {
    for (const backend of backends) this.seeds.know(backend);
  }

  choose(candidates: Candidates, a: number, b: number): number {
    this.bound.measure(candidates);
    const best = this.winner(candidates, a, b, false, true);
    if (best >= 0) return best;
    const even = candidates.totalWeight() === 0;
    const equal = even ? this.winner(candidates, a, b, true, true) : -1;
    // Loads are live: other workers may have taken the last places since they were measured.
    return equal >= 0 ? equal : this.winner(candidates, a, b, even, false);
  }

  private winner(candidates: Candidates, a: number, b: number, even: boolean, bounded: boolean): number {
    let best = -1;
    let bestScore = 0;
    for (let i = 0; i < candidates.length; i++) {
      const weight = even ? 1 : candidates.weight(i);
      if (weight === 0) continue;
      const backend = candidates.at(i);
      // Strictly between 0 and 1, so that the logarithm is finite and negative.
      const draw = ((this.draw(backend, a, b) >>> 0) + 0.5) / 2 ** 32;
      // No score is higher than weight / (1 - draw), which spares nearly all the logarithms.
      if ((1 - draw) * bestScore > weight) continue;
      if (bounded && !this.bound.admits(candidates, i, weight)) continue;
      const score = -weight / Math.log(draw);
      // A tie is as good as impossible; the address settles it alike in every process.
      if (score > bestScore || (score === bestScore && backend.address < candidates.at(best).address)) {
        best = i;
        bestScore = score;
      }
    }
    return best;
  }

  /** What a backend draws for a key: 32 bits with a sign, as others would not all fit into a small integer. */
  draw(backend: Backend, a: number, b: number): number {
    this.seeds.know(backend);
    const one = a ^ this.seeds.first(backend.slot);
    const other = b ^ this.seeds.second(backend.slot);
    // Kept to 32 bits: what is larger would be put on the heap for the call.
    return finalize((Math.imul(one, 0x9e3779b1) + other) | 0);
  }
}

/** Whether a backend of this weight with this draw wins over another one. */
export function outbids(weight: number, draw: number, otherWeight: number, otherDraw: number): boolean {
  const h = ((draw >>> 0) + 0.5) / 2 ** 32;
  const other = ((otherDraw >>> 0) + 0.5) / 2 ** 32;
  // Between equal weights the draws themselves decide: logarithms would cost more than all the rest.
  return weight === otherWeight ? h > other : -weight / Math.log(h) > -otherWeight / Math.log(other);
}
