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
      const draw = unit(this.draw(backend, a, b));
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

/** A draw as a fraction strictly between 0 and 1, so that its logarithm is finite and negative. */
export const unit = (draw: number): number => ((draw >>> 0) + 0.5) / 2 ** 32;
