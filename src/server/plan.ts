import type { Config, PoolConfig } from "../config/index.js";
import { formatAddress } from "../config/index.js";
import type { NativeBackend } from "../dataplane/index.js";
import type { Pools } from "../pools/index.js";
import { compileRoute } from "../routing/index.js";
import type { PlannedPool, WorkerPlan } from "./messages.js";
import type { Names } from "./names.js";
import { resolveAddress } from "./resolve.js";

/**
 * Makes of a configuration what workers serve by. `pools` must have applied the same configuration: slots come from it.
 * @throws LongspliceError LS_ADDRESS_UNRESOLVED
 */
export async function planWorkers(
  config: Config,
  generation: number,
  pools: Pools,
  names: Names,
): Promise<WorkerPlan> {
  const planned: PlannedPool[] = [];
  for (const pool of config.pools.values()) planned.push(await planPool(pool, pools, names));
  const poolIndex = (name: string) => planned.findIndex((pool) => pool.name === name);
  const { header, connect, response, idle, stream } = config.timeouts;
  return {
    generation,
    snapshot: {
      routes: config.routes.map((route) =>
        compileRoute(route, { poolIndex, routeId: (label) => names.routeId(label) }),
      ),
      timeouts: { header, connect, response, idle, stream },
      limits: config.limits,
      accessLog: config.accessLog,
    },
    pools: planned,
    plugins: config.policies,
  };
}

async function planPool(pool: PoolConfig, pools: Pools, names: Names): Promise<PlannedPool> {
  const candidates = pools.backendsOf(pool.name);
  const backends: NativeBackend[] = [];
  for (const backend of candidates) {
    const spec = pool.backends.find((each) => formatAddress(each.address) === backend.address);
    if (spec === undefined) continue;
    const resolved = await resolveAddress(spec.address);
    const id = names.backendId(pool.name, backend.address);
    backends.push({ slot: backend.slot, id, name: backend.address, ...resolved });
  }
  return { name: pool.name, backends, specs: pool.policy, candidates };
}
