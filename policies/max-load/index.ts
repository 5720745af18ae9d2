import { type Candidates, definePolicy, type Policy, type SelectContext, z } from "../../src/policy/index.js";
import { type Figure, figureAt, isShare } from "../figures.js";
import { UNBOUNDED } from "../hashing/bound.js";
import { Rendezvous } from "../hashing/rendezvous.js";
import { TextHash } from "../hashing/text-hash.js";
import { Lots } from "../lots.js";
import { Scores } from "../scores.js";

interface Limit {
  readonly figure: Figure;
  readonly most: number;
  /** A share is of what the backend can do, so weights do not matter. */
  readonly share: boolean;
}

/** Keeps a client's home while that is below all limits; above one of them, the candidate that is the least full. */
class MaxLoad implements Policy {
  private readonly rendezvous: Rendezvous;
  private readonly client = new TextHash();
  private readonly scores = new Scores();
  /** How many candidates have a weight: their mean is that of a backend which may have as much as the limits say. */
  private sharers = 0;

  constructor(
    private readonly limits: readonly Limit[],
    private readonly lots: Lots,
  ) {
    this.rendezvous = new Rendezvous(UNBOUNDED);
  }

  select(_head: unknown, candidates: Candidates, context: SelectContext): void {
    if (candidates.length <= 1) return;
    this.client.take(context.clientAddress);
    const home = this.rendezvous.choose(candidates, this.client.a, this.client.b);
    const total = this.sumUp(candidates);
    this.scores.make(candidates.length);
    this.weigh(candidates, home, total);
    const full = (this.scores.values[home] as number) >= 1;
    candidates.keep(full ? this.leastFull(candidates, total) : home);
  }

  /** The sum of all weights. */
  private sumUp(candidates: Candidates): number {
    let total = 0;
    let sharers = 0;
    for (let i = 0; i < candidates.length; i++) {
      const weight = candidates.weight(i);
      total += weight;
      if (weight > 0) sharers++;
    }
    this.sharers = sharers;
    return total;
  }

  private leastFull(candidates: Candidates, total: number): number {
    const { values } = this.scores;
    for (let i = 0; i < candidates.length; i++) {
      this.weigh(candidates, i, total);
      // Weights are in it already, as far as they matter.
      if (total > 0) values[i] = (values[i] as number) * candidates.weight(i);
    }
    return this.scores.lowestPerWeight(candidates, this.lots);
  }

  /**
   * Puts into the score how full a candidate is: the greatest of its known figures, each in parts of its limit. Of no account where weight 0
   * rules it out.
   */
  private weigh(candidates: Candidates, position: number, total: number): void {
    const size = total === 0 ? 1 : (candidates.weight(position) * this.sharers) / total;
    let fullest = 0;
    for (let l = 0; l < this.limits.length; l++) {
      const { figure, most, share } = this.limits[l] as Limit;
      const value = figureAt(candidates, position, figure) / (share ? most : most * size);
      if (value > fullest) fullest = value;
    }
    this.scores.values[position] = fullest;
  }
}

const share = z.number().positive().max(1).optional();
const count = z.number().positive();

const options = z.strictObject({
  connections: count.default(64),
  tcpConnections: count.optional(),
  activeSockets: count.optional(),
  queue: count.optional(),
  cpu: share,
  memory: share,
  io: share,
  utilization: share,
});

function limitsOf(given: z.output<typeof options>): Limit[] {
  return (Object.entries(given) as [Figure, number | undefined][]).flatMap(([figure, most]) =>
    most === undefined
      ? []
      : [{ figure, most: isShare(figure) ? 1000 * most : most, share: isShare(figure) }],
  );
}

/** `max-load`: a client's own backend, until that is too loaded. Options: a limit for each figure; `connections` has one always. */
export const maxLoad = definePolicy({
  name: "max-load",
  apiVersion: 1,
  options: options.prefault({}),
  choosesBy: "client",
  needs: { headers: [] },
  create: (given, env) => new MaxLoad(limitsOf(given), new Lots(env.random)),
});
