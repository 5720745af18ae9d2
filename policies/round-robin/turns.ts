import type { Candidates } from "../../src/policy/index.js";

/**
 * Smooth weighted round robin, as nginx does it (README.md): every candidate earns its weight, the richest one is
 * taken and pays what all of them earned. Weights 5, 1, 1 give a a b a c a a, not five times a in a row.
 */
export class Turns {
  /**
   * Credit by slot. It outlives a backend's absence, so the others' turns do not start over when one comes or
   * goes.
   */
  private credit = new Int32Array(16);

  /** @param skip turns to let pass before the first one, or all workers would start with the same backend */
  constructor(private skip: number) {}

  /** Keeps the candidate whose turn it is. */
  take(candidates: Candidates): void {
    for (; this.skip > 0; this.skip--) this.turn(candidates);
    const next = this.turn(candidates);
    if (next >= 0) candidates.keep(next);
  }

  /** Goes on by one turn; the position whose turn it is, -1 if there is no candidate. */
  private turn(candidates: Candidates): number {
    const total = candidates.totalWeight();
    let earned = 0;
    let best = -1;
    let bestSlot = 0;
    let bestCredit = 0;
    for (let i = 0; i < candidates.length; i++) {
      const weight = total > 0 ? candidates.weight(i) : 1;
      if (weight === 0) continue;
      const slot = candidates.slotAt(i);
      if (slot >= this.credit.length) this.grow(slot);
      const credit = (this.credit[slot] as number) + weight;
      this.credit[slot] = credit;
      earned += weight;
      if (best < 0 || credit > bestCredit) {
        best = i;
        bestSlot = slot;
        bestCredit = credit;
      }
    }
    if (best >= 0) this.credit[bestSlot] = bestCredit - earned;
    return best;
  }

  private grow(slot: number): void {
    const larger = new Int32Array(2 ** Math.ceil(Math.log2(slot + 1)));
    larger.set(this.credit);
    this.credit = larger;
  }
}
