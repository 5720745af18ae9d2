import type { Backend, Candidates } from "../../src/policy/index.js";
import { ExchangeLoads } from "../exchange-loads.js";
import { UNBOUNDED } from "../hashing/bound.js";
import { outbids, Rendezvous } from "../hashing/rendezvous.js";
import type { Lots } from "../lots.js";
import type { UrlKey } from "../url-table.js";

/** Chooses among the first backends in the order that a URL has (README.md of `uri-hash`). */
export class Subset {
  private readonly rendezvous: Rendezvous;
  private readonly loads: ExchangeLoads;
  /** The best so far, the first one first: weights and draws, and the positions that they belong to. */
  private weights = new Int32Array(16);
  private draws = new Int32Array(16);
  private positions = new Int32Array(16);
  private size = 0;

  constructor(
    backends: readonly Backend[],
    private readonly lots: Lots,
  ) {
    this.rendezvous = new Rendezvous(UNBOUNDED, backends);
    this.loads = new ExchangeLoads(lots);
  }

  /** Keeps the least loaded of the URL's first `replicas` backends; leaves nothing of nothing. */
  take(key: UrlKey, replicas: number, candidates: Candidates): void {
    if (replicas === 1) {
      const winner = this.rendezvous.choose(candidates, key.a, key.b);
      if (winner >= 0) candidates.keep(winner);
      return;
    }
    this.loads.take(candidates);
    this.rank(key, replicas, candidates);
    if (this.size > 0) candidates.keep(this.leastLoaded());
  }

  /** Finds the first `most` in the order of the URL, by insertion: they are few. */
  private rank(key: UrlKey, most: number, candidates: Candidates): void {
    this.makeRoom(most);
    this.size = 0;
    const count = candidates.length;
    for (let i = 0; i < count; i++) {
      const weight = this.loads.weight(i);
      if (weight === 0) continue;
      const draw = this.rendezvous.draw(candidates.at(i), key.a, key.b);
      if (this.size === most && !this.outbids(most - 1, weight, draw)) continue;
      let place = this.size < most ? this.size++ : most - 1;
      for (; place > 0 && this.outbids(place - 1, weight, draw); place--) this.move(place - 1, place);
      this.weights[place] = weight;
      this.draws[place] = draw;
      this.positions[place] = i;
    }
  }

  private outbids(place: number, weight: number, draw: number): boolean {
    return outbids(weight, draw, this.weights[place] as number, this.draws[place] as number);
  }

  private move(from: number, to: number): void {
    this.weights[to] = this.weights[from] as number;
    this.draws[to] = this.draws[from] as number;
    this.positions[to] = this.positions[from] as number;
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
    this.weights = new Int32Array(2 * most);
    this.draws = new Int32Array(2 * most);
    this.positions = new Int32Array(2 * most);
  }
}
