import { type Backend, type Candidates, definePolicy, type Policy, z } from "../../src/policy/index.js";
import { finalize, hashLane } from "./hash.js";
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

  constructor(
    private readonly query: boolean,
    backends: readonly Backend[],
  ) {
    for (const backend of backends) this.seeds.know(backend);
  }

  select(head: Uri, candidates: Candidates): void {
    const even = candidates.totalWeight() === 0;
    const key = this.query ? head.target : head.path;
    const keyA = hashLane(key, "a");
    const keyB = hashLane(key, "b");
    let best = -1;
    let bestScore = 0;
    for (let i = 0; i < candidates.length; i++) {
      const weight = even ? 1 : candidates.weight(i);
      if (weight === 0) continue;
      const backend = candidates.at(i);
      this.seeds.know(backend);
      const mixed = finalize(keyA ^ this.seeds.first(backend.slot)) + keyB;
      // Strictly between 0 and 1, so that the logarithm is finite and negative.
      const draw = ((finalize(mixed ^ this.seeds.second(backend.slot)) >>> 0) + 0.5) / 2 ** 32;
      const score = -weight / Math.log(draw);
      // Equal scores are as good as impossible; the address settles them alike in every process.
      if (score > bestScore || (score === bestScore && backend.address < candidates.at(best).address)) {
        best = i;
        bestScore = score;
      }
    }
    if (best >= 0) candidates.keep(best);
  }
}

/** `uri-hash`: the same path goes to the same backend. Option `query`: the query string counts too. */
export const uriHash = definePolicy({
  name: "uri-hash",
  apiVersion: 1,
  options: z.strictObject({ query: z.boolean().default(false) }).prefault({}),
  needs: { headers: [] },
  create: ({ query }, env) => new UriHash(query, env.backends),
});
