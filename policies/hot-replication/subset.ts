import type { Backend, Candidates } from "../../src/policy/index.js";
import type { Lots } from "../lots.js";
import { Rendezvous, score } from "../uri-hash/rendezvous.js";
import type { UrlKey } from "../url-table.js";

/** Chooses among the first backends in the order that a URL has (README.md of `uri-hash`). */
export class Subset {
  private readonly rendezvous: Rendezvous;
  /** The best so far: scores, falling, and the positions that they belong to. */
  private scores = new Float64Array(16);
  private positions = new Int32Array(16);
  private size = 0;

  constructor(
    backends: readonly Backend[],
    private readonly lots: Lots,
  ) {
    this.rendezvous = new Rendezvous(backends);
  }

  /** Keeps the least loaded of the URL's first `replicas` backends; leaves nothing of nothing. */
  take(key: UrlKey, replicas: number, candidates: Candidates): void {
    if (replicas === 1) {
      const winner = this.rendezvous.winner(key.a, key.b, candidates);
      if (winner >= 0) candidates.keep(winner);
      return;
    }
    const even = candidates.totalWeight() === 0;
    this.rank(key, replicas, candidates, even);
    if (this.size > 0) candidates.keep(this.leastLoaded(candidates, even));
  }

  /** Finds the first `most` in the order of the URL, by insertion: they are few. */
  private rank(key: UrlKey, most: number, candidates: Candidates, even: boolean): void {
    this.makeRoom(most);
    this.size = 0;
    const count = candidates.length;
    const alike = areAlike(candidates);
    for (let i = 0; i < count; i++) {
      const weight = even ? 1 : candidates.weight(i);
      if (weight === 0) continue;
      const draw = this.rendezvous.draw(key.a, key.b, candidates.at(i)) >>> 0;
      const bid = alike ? draw : score(weight, draw);
      if (this.size === most && bid <= (this.scores[most - 1] as number)) continue;
      let place = this.size < most ? this.size++ : most - 1;
      for (; place > 0 && bid > (this.scores[place - 1] as number); place--) {
        this.scores[place] = this.scores[place - 1] as number;
        this.positions[place] = this.positions[place - 1] as number;
      }
      this.scores[place] = bid;
      this.positions[place] = i;
    }
  }

  /** The position with the fewest exchanges in flight per weight; lots among equals, by weight. */
  private leastLoaded(candidates: Candidates, even: boolean): number {
    let best = -1;
    let bestActive = 0;
    let bestWeight = 0;
    let tied = 0;
    for (let rank = 0; rank < this.size; rank++) {
      const i = this.positions[rank] as number;
      const weight = even ? 1 : candidates.weight(i);
      const active = candidates.active(i);
      const difference = active * bestWeight - bestActive * weight;
      if (best >= 0 && difference > 0) continue;
      tied = best < 0 || difference < 0 ? weight : tied + weight;
      // Of those that tie each comes out on top in proportion to its weight.
      if (tied !== weight && this.lots.below(tied) >= weight) continue;
      best = i;
      bestActive = active;
      bestWeight = weight;
    }
    return best;
  }

  private makeRoom(most: number): void {
    if (most <= this.scores.length) return;
    this.scores = new Float64Array(2 * most);
    this.positions = new Int32Array(2 * most);
  }
}

/** Whether all have the same weight: their draws decide then, and no logarithm has to be taken. */
function areAlike(candidates: Candidates): boolean {
  const count = candidates.length;
  const first = candidates.weight(0);
  for (let i = 1; i < count; i++) {
    if (candidates.weight(i) !== first) return false;
  }
  return true;
}
