import {
  type Candidates,
  definePolicy,
  type Policy,
  type PolicyEnv,
  type RequestHead,
  type SelectContext,
  z,
} from "../../src/policy/index.js";
import { Lots } from "../lots.js";
import { UrlKey, UrlTable, urlEntries } from "../url-table.js";
import { Popularity } from "./popularity.js";
import { Subset } from "./subset.js";

const options = z
  .strictObject({
    /** Requests per second. */
    perReplica: z.number().positive().max(10_000).default(100),
    maxReplicas: z.int().min(1).max(4096).default(4096),
    /** Seconds. */
    window: z.number().min(1).max(40).default(10),
    entries: urlEntries,
  })
  .prefault({});

type Options = z.output<typeof options>;

/** Few backends for most URLs, more for popular ones (README.md). */
class HotReplication implements Policy {
  private readonly popularity: Popularity;
  private readonly subset: Subset;
  private readonly key = new UrlKey();

  constructor({ entries, window, perReplica, maxReplicas }: Options, env: PolicyEnv) {
    const table = new UrlTable(entries, env.shared);
    this.popularity = new Popularity(table, window, perReplica, maxReplicas);
    this.subset = new Subset(new Lots(env.random));
  }

  select(head: RequestHead, candidates: Candidates, context: SelectContext): void {
    this.key.take(head.host, head.target);
    const replicas = this.popularity.count(this.key, context.now);
    this.subset.take(this.key, Math.min(replicas, Math.max(1, candidates.length)), candidates);
  }
}

/** `hot-replication`: as many backends for a URL as its popularity asks for. Options: README.md. */
export const hotReplication = definePolicy({
  name: "hot-replication",
  apiVersion: 1,
  options,
  // By target alone, what passes in the kernel would count for nothing.
  choosesBy: "request",
  needs: { headers: [] },
  sharedBytes: ({ entries }) => UrlTable.bytesFor(entries),
  create: (chosen, env) => new HotReplication(chosen, env),
});
