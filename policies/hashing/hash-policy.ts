import type { Candidates, Policy, RequestHead, SelectContext } from "../../src/policy/index.js";
import type { KeyReader } from "./key.js";

/** Chooses by the hash of a key. */
export interface Chooser {
  /** The position for the key with these two lanes of hash; -1 if there is no candidate. */
  choose(candidates: Candidates, a: number, b: number): number;
}

/** A policy that takes a key of the request, and chooses by its hash. */
export class HashPolicy implements Policy {
  /** @param draws whether a request without a key gets one by lot; if not, its candidates are left alone */
  constructor(
    private readonly key: KeyReader,
    private readonly chooser: Chooser,
    private readonly draws = true,
  ) {}

  select(head: RequestHead, candidates: Candidates, context: SelectContext): void {
    if (!this.key.read(head, context)) {
      if (!this.draws) return;
      this.key.draw();
    }
    const position = this.chooser.choose(candidates, this.key.hash.a, this.key.hash.b);
    if (position >= 0) candidates.keep(position);
  }
}
