import { type Backend, type Candidates, definePolicy, type Policy, z } from "../../src/policy/index.js";
import { finalize, TextHash } from "./hash.js";
import { Seeds } from "./seeds.js";

/** What the policy reads of a request head. */
interface Uri {
  readonly path: string;
  readonly target: string;
}

/**
 * Weighted rendezvous hashing (README.md): every candidate draws a number from the hash of its address and
 * the URI, and the highest score wins. A URI moves only if its backend leaves, or if a new one outbids it.
 */
class UriHash implements Policy {
  private readonly seeds = new Seeds();
  private readonly key = new TextHash();

  constructor(
    private readonly query: boolean,
    backends: readonly Backend[],
  ) {
    for (const backend of backends) this.seeds.know(backend);
  }

  select(head: Uri, candidates: Candidates): void {
    const even = candidates.totalWeight() === 0;
    this.key.take(this.query ? head.target : head.path);
    const { a, b } = this.key;
    let best = -1;
    let bestWeight = 0;
    let bestDraw = 0;
    for (let i = 0; i < candidates.length; i++) {
      const weight = even ? 1 : candidates.weight(i);
      if (weight === 0) continue;
      const backend = candidates.at(i);
      this.seeds.know(backend);
      const mixed = finalize(a ^ this.seeds.first(backend.slot)) + b;
      const draw = finalize(mixed ^ this.seeds.second(backend.slot)) >>> 0;
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
    if (best >= 0) candidates.keep(best);
  }
}

/** What a backend of this weight bids with this draw (README.md): from above 0, growing with both. */
function score(weight: number, draw: number): number {
  // Strictly between 0 and 1, so that the logarithm is finite and negative.
  return -weight / Math.log((draw + 0.5) / 2 ** 32);
}

/** `uri-hash`: the same path goes to the same backend. Option `query`: the query string counts too. */
export const uriHash = definePolicy({
  name: "uri-hash",
  apiVersion: 1,
  options: z.strictObject({ query: z.boolean().default(false) }).prefault({}),
  choosesBy: "target",
  needs: { headers: [] },
  create: ({ query }, env) => new UriHash(query, env.backends),
});
