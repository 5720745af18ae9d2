import {
  type Candidates,
  definePolicy,
  type ExchangeSummary,
  type Policy,
  type PolicyEnv,
  type RequestHead,
  type SelectContext,
  z,
} from "../../src/policy/index.js";
import { UNBOUNDED } from "../hashing/bound.js";
import { Rendezvous } from "../hashing/rendezvous.js";
import { Turns } from "../round-robin/turns.js";
import { UrlKey, UrlTable, urlEntries } from "../url-table.js";
import { CACHE_HEADERS, isCacheable } from "./cacheable.js";

const options = z
  .strictObject({
    /** Bytes. */
    largest: z.int().min(1).default(Number.MAX_SAFE_INTEGER),
    /** Seconds. */
    remember: z.int().min(1).max(86_400).default(600),
    entries: urlEntries,
  })
  .prefault({});

/** Values of the table. */
const NOT_CACHEABLE = 0;
const CACHEABLE = 1;

type Options = z.output<typeof options>;

/** A place for each URL that is cacheable, turns for everything else (README.md). */
class Hybrid implements Policy {
  private readonly table: UrlTable;
  private readonly turns: Turns;
  private readonly rendezvous: Rendezvous;
  private readonly key = new UrlKey();
  /** When it chose last: what it is told afterwards is hardly older. */
  private seconds = 0;

  constructor(
    private readonly options: Options,
    env: PolicyEnv,
  ) {
    this.table = new UrlTable(options.entries, env.shared);
    this.turns = new Turns(env.worker);
    this.rendezvous = new Rendezvous(UNBOUNDED);
  }

  select(head: RequestHead, candidates: Candidates, context: SelectContext): void {
    this.seconds = Math.floor(context.now / 1000);
    this.key.take(head.host, head.target);
    if (!this.isCacheable(head)) {
      this.turns.take(candidates);
      return;
    }
    const winner = this.rendezvous.choose(candidates, this.key.a, this.key.b);
    if (winner >= 0) candidates.keep(winner);
  }

  onDone(summary: ExchangeSummary): void {
    const { ok, status, method, host, target } = summary;
    // Errors like these pass, and speak of the backend.
    if (!ok || method !== "GET" || status >= 500 || status === 429) return;
    this.key.take(host, target);
    const at = this.table.find(this.key);
    const partial = status === 206 || status === 304;
    const cacheable = partial
      ? at >= 0 && this.table.value(at) === CACHEABLE
      : isCacheable(summary) && sizeOf(summary) <= this.options.largest;
    // What is not known is not cacheable: no need to remember it.
    if (cacheable || at >= 0)
      this.table.put(this.key, this.seconds, cacheable ? CACHEABLE : NOT_CACHEABLE, 0);
  }

  private isCacheable(head: RequestHead): boolean {
    const { method } = head;
    if (method !== "GET" && method !== "HEAD") return false;
    const at = this.table.find(this.key);
    if (at < 0 || this.table.value(at) !== CACHEABLE) return false;
    return this.seconds - this.table.stamp(at) <= this.options.remember;
  }
}

/** Bytes of a response's body. */
function sizeOf(summary: ExchangeSummary): number {
  const declared = Number(summary.responseHeader("content-length"));
  return Number.isNaN(declared) ? summary.bytes : declared;
}

/** `hybrid`: URLs with cacheable responses have their places, all others take turns. Options: README.md. */
export const hybrid = definePolicy({
  name: "hybrid",
  apiVersion: 1,
  options,
  // By target alone a link would keep what is not cacheable where it was once.
  choosesBy: "request",
  needs: { headers: [], responseHeaders: CACHE_HEADERS },
  sharedBytes: ({ entries }) => UrlTable.bytesFor(entries),
  create: (chosen, env) => new Hybrid(chosen, env),
});
