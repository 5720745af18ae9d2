import type { Candidates } from "../../src/policy/index.js";
import { ExchangeLoads } from "../exchange-loads.js";
import { UNBOUNDED } from "../hashing/bound.js";
import { Rendezvous, unit } from "../hashing/rendezvous.js";
import type { Lots } from "../lots.js";
import type { UrlKey } from "../url-table.js";

/** Chooses among the first backends in the order that a URL has (README.md of `uri-hash`). */
export class Subset {
  private readonly rendezvous: Rendezvous;
  private readonly loads: ExchangeLoads;
  /** Those that are in so far: a heap with the lowest score at its root, and the positions that the scores belong to. */
  private scores = new Float64Array(16);
  private positions = new Int32Array(16);
  private size = 0;

  constructor(private readonly lots: Lots) {
    this.rendezvous = new Rendezvous(UNBOUNDED);
    this.loads = new ExchangeLoads(lots);
  }

  /** Keeps the least loaded of the URL's first `replicas` backends, or of all; leaves nothing of nothing. */
  take(key: UrlKey, replicas: number, candidates: Candidates): void {
    if (replicas === 1) {
      const winner = this.rendezvous.choose(candidates, key.a, key.b);
      if (winner >= 0) candidates.keep(winner);
      return;
    }
    this.loads.take(candidates);
    if (replicas >= candidates.length) {
      candidates.keep(this.loads.least());
      return;
    }
    this.gather(key, replicas, candidates);
    if (this.size > 0) candidates.keep(this.leastLoaded());
  }

  /** Finds the first `most` in the order of the URL. */
  private gather(key: UrlKey, most: number, candidates: Candidates): void {
    this.makeRoom(most);
    this.rendezvous.take(candidates);
    this.size = 0;
    const { scores } = this;
    const count = candidates.length;
    for (let i = 0; i < count; i++) {
      const weight = this.loads.weight(i);
      if (weight === 0) continue;
      const draw = unit(this.rendezvous.draw(candidates, i, key.a, key.b));
      if (this.size < most) {
        // At the end of the heap, where it may belong further up.
        scores[this.size] = -weight / Math.log(draw);
        this.rise(this.size++, i);
        continue;
      }
      // As in `Rendezvous`: spares the logarithm of nearly all that are too low.
      if ((1 - draw) * (scores[0] as number) > weight) continue;
      const score = -weight / Math.log(draw);
      if (score <= (scores[0] as number)) continue;
      scores[0] = score;
      this.sink(i);
    }
  }

  /** Moves the entry at `place` up to where it belongs. */
  private rise(place: number, position: number): void {
    const { scores, positions } = this;
    const score = scores[place] as number;
    let at = place;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if ((scores[above] as number) <= score) break;
      scores[at] = scores[above] as number;
      positions[at] = positions[above] as number;
      at = above;
    }
    scores[at] = score;
    positions[at] = position;
  }

  /** Moves the entry at the root down to where it belongs. */
  private sink(position: number): void {
    const { scores, positions, size } = this;
    const score = scores[0] as number;
    let at = 0;
    for (let below = 1; below < size; below = 2 * at + 1) {
      if (below + 1 < size && (scores[below + 1] as number) < (scores[below] as number)) below++;
      if ((scores[below] as number) >= score) break;
      scores[at] = scores[below] as number;
      positions[at] = positions[below] as number;
      at = below;
    }
    scores[at] = score;
    positions[at] = position;
  }

  /** The position with the fewest exchanges in flight per weight; lots among equals, by weight. */
  private leastLoaded(): number {
    let best = -1;
    let tied = 0;
    for (let rank = 0; rank < this.size; rank++) {
      const i = this.positions[rank] as number;
      const weight = this.loads.weight(i);
      const difference = best < 0 ? -1 : this.loads.compare(i, best);
      if (difference > 0) continue;
      tied = difference < 0 ? weight : tied + weight;
      // Of those that tie each comes out on top in proportion to its weight.
      if (tied !== weight && this.lots.below(tied) >= weight) continue;
      best = i;
    }
    return best;
  }

  private makeRoom(most: number): void {
    if (most <= this.positions.length) return;
    this.scores = new Float64Array(2 * most);
    this.positions = new Int32Array(2 * most);
  }
}
