import { type Backend, type Candidates, definePolicy, type Policy, z } from "../../src/policy/index.js";
import { TextHash } from "./hash.js";
import { Rendezvous } from "./rendezvous.js";

/** What the policy reads of a request head. */
interface Uri {
  readonly path: string;
  readonly target: string;
}

class UriHash implements Policy {
  private readonly rendezvous: Rendezvous;
  private readonly key = new TextHash();

  constructor(
    private readonly query: boolean,
    backends: readonly Backend[],
  ) {
    this.rendezvous = new Rendezvous(backends);
  }

  select(head: Uri, candidates: Candidates): void {
    this.key.take(this.query ? head.target : head.path);
    const winner = this.rendezvous.winner(this.key.a, this.key.b, candidates);
    if (winner >= 0) candidates.keep(winner);
  }
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
