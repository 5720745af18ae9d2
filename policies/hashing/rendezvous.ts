import type { Candidates } from "../../src/policy/index.js";
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

  constructor(private readonly bound: Bound) {}

  choose(candidates: Candidates, a: number, b: number): number {
    this.take(candidates);
    this.bound.measure(candidates);
    const best = this.winner(candidates, a, b, false, true);
    if (best >= 0) return best;
    const even = candidates.totalWeight() === 0;
    const equal = even ? this.winner(candidates, a, b, true, true) : -1;
    // Loads are live: other workers may have taken the last places since they were measured.
    return equal >= 0 ? equal : this.winner(candidates, a, b, even, false);
  }

  private winner(candidates: Candidates, a: number, b: number, even: boolean, bounded: boolean): number {
    let { lanes } = this.seeds;
    let best = -1;
    let bestScore = 0;
    for (let i = 0; i < candidates.length; i++) {
      const weight = even ? 1 : candidates.weight(i);
      if (weight === 0) continue;
      const at = 2 * candidates.slotAt(i);
      if (!lanes[at]) lanes = this.seeds.learn(candidates.at(i));
      const draw = unit(mix(a ^ (lanes[at] as number), b ^ (lanes[at + 1] as number)));
      // No score is higher than weight / (1 - draw), which spares nearly all the logarithms.
      if ((1 - draw) * bestScore > weight) continue;
      if (bounded && !this.bound.admits(candidates, i, weight)) continue;
      const score = -weight / Math.log(draw);
      // A tie is as good as impossible; the address settles it alike in every process.
      if (score > bestScore || (score === bestScore && isBefore(candidates, i, best))) {
        best = i;
        bestScore = score;
      }
    }
    return best;
  }

  /** Looks at these candidates from now on. `choose` does that by itself. */
  take(candidates: Candidates): void {
    this.seeds.take(candidates);
  }

  /** What a candidate draws for a key: 32 bits with a sign. */
  draw(candidates: Candidates, position: number, a: number, b: number): number {
    let { lanes } = this.seeds;
    const at = 2 * candidates.slotAt(position);
    if (!lanes[at]) lanes = this.seeds.learn(candidates.at(position));
    return mix(a ^ (lanes[at] as number), b ^ (lanes[at + 1] as number));
  }
}

// Kept to 32 bits: what is larger would be put on the heap for a call.
const mix = (one: number, other: number): number => finalize((Math.imul(one, 0x9e3779b1) + other) | 0);

const isBefore = (candidates: Candidates, one: number, other: number): boolean =>
  candidates.at(one).address < candidates.at(other).address;

/** A draw as a fraction strictly between 0 and 1, so that its logarithm is finite and negative. */
export const unit = (draw: number): number => ((draw >>> 0) + 0.5) / 2 ** 32;
