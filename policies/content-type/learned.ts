import type { ExchangeSummary, PolicyEnv, RequestHead } from "../../src/policy/index.js";
import { TextHash } from "../hashing/text-hash.js";
import { UrlKey, UrlTable } from "../url-table.js";
import type { Kinds } from "./kinds.js";

/** The kinds of URLs by what earlier responses said, from all workers. */
export class LearnedKinds {
  private readonly table: UrlTable;
  private readonly key = new UrlKey();
  /** Tells what was learned when the same number was another kind: the table outlives a reload. */
  private readonly fingerprint: number;
  /** When something was looked up last: what is learned then is hardly older. */
  private seconds = 0;

  constructor(
    private readonly kinds: Kinds,
    entries: number,
    env: PolicyEnv,
  ) {
    this.table = new UrlTable(entries, env.shared);
    const hash = new TextHash();
    hash.take(kinds.names.join());
    this.fingerprint = hash.a;
  }

  /**
   * The kind of what is asked for; -1 if nobody has learned it.
   * @param now monotonic milliseconds
   */
  kindOf(head: RequestHead, now: number): number {
    this.seconds = Math.floor(now / 1000);
    this.key.take(head.host, head.target);
    const at = this.table.find(this.key);
    return at < 0 || this.table.extra(at) !== this.fingerprint ? -1 : this.table.value(at);
  }

  /** Takes what a response says; one that is no success speaks of itself, not of the URL. */
  learn(summary: ExchangeSummary): void {
    const { ok, status, method, host, target } = summary;
    if (!ok || status < 200 || status > 299 || (method !== "GET" && method !== "HEAD")) return;
    const kind = this.kinds.ofMediaType(summary.responseHeader("content-type") ?? "");
    if (kind < 0) return;
    this.key.take(host, target);
    this.table.put(this.key, this.seconds, kind, this.fingerprint);
  }
}
