// A policy of one's own: every tenant has a shard, which is a label of the backends.
//
//   policy: [{ name: shard-by-tenant, options: { fallback: shared } }, least-connections]
//
// The header x-tenant names the tenant. This policy narrows the candidates to the tenant's shard and leaves the
// choice within the shard to the next policy of the list. See ../custom-policy.yaml.
import { definePolicy, z } from "longsplice/policy";

const options = z.strictObject({
  /** Label of the backends that names their shard. */
  label: z.string().default("shard"),
  /** Shard by tenant. A tenant that is not listed has the shard of its own name. */
  shards: z.record(z.string(), z.string()).default({}),
  /** Shard of requests without a tenant, and of tenants whose shard has no backend to offer. */
  fallback: z.string(),
});

export default definePolicy({
  name: "shard-by-tenant",
  apiVersion: 1,
  options,
  needs: { headers: ["x-tenant"] },
  create({ label, shards, fallback }) {
    // Clients choose the tenant's name: a Map, so that "constructor" finds nothing.
    const shardOf = new Map(Object.entries(shards));
    return {
      select(head, candidates) {
        const tenant = head.header("x-tenant") ?? fallback;
        const shard = shardOf.get(tenant) ?? tenant;
        let offered = false;
        for (let i = 0; i < candidates.length && !offered; i++) {
          offered = candidates.at(i).labels[label] === shard;
        }
        const wanted = offered ? shard : fallback;
        candidates.filter((i) => candidates.at(i).labels[label] === wanted);
      },
    };
  },
});
