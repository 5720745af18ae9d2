import {
  type Backend,
  type Candidates,
  definePolicy,
  type Policy,
  type SelectContext,
  z,
} from "../../src/policy/index.js";
import { type Figure, figureAt, isShare } from "../figures.js";
import { Lots } from "../lots.js";
import { Scores } from "../scores.js";
import { TextHash } from "../uri-hash/hash.js";
import { Rendezvous } from "../uri-hash/rendezvous.js";

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

  constructor(
    private readonly limits: readonly Limit[],
    private readonly lots: Lots,
    backends: readonly Backend[],
  ) {
    this.rendezvous = new Rendezvous(backends);
  }

  select(_head: unknown, candidates: Candidates, context: SelectContext): void {
    if (candidates.length <= 1) return;
    this.client.take(context.clientAddress);
    const home = this.rendezvous.winner(this.client.a, this.client.b, candidates);
    const mean = candidates.totalWeight() / candidates.length;
    candidates.keep(this.fullness(candidates, home, mean) < 1 ? home : this.leastFull(candidates, mean));
  }

  private leastFull(candidates: Candidates, mean: number): number {
    this.scores.make(candidates.length);
    const { values } = this.scores;
    for (let i = 0; i < candidates.length; i++) values[i] = this.fullness(candidates, i, mean);
    return this.scores.lowest(candidates, this.lots);
  }

  /** The greatest of its known figures, each in parts of its limit; of no account for a candidate that weight 0 rules out. */
  private fullness(candidates: Candidates, position: number, mean: number): number {
    const size = mean === 0 ? 1 : candidates.weight(position) / mean;
    let fullest = 0;
    for (let l = 0; l < this.limits.length; l++) {
      const { figure, most, share } = this.limits[l] as Limit;
      const value = figureAt(candidates, position, figure) / (share ? most : most * size);
      if (value > fullest) fullest = value;
    }
    return fullest;
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
  create: (given, env) => new MaxLoad(limitsOf(given), new Lots(env.random), env.backends),
});
