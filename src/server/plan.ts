import type { Config, PoolConfig, RouteConfig } from "../config/index.js";
import { formatAddress } from "../config/index.js";
import type { Carrier, NativeAddress, NativeBackend, NativeSnapshot } from "../dataplane/index.js";
import { type LoadTable, ORCA_HEADER, type Pools } from "../pools/index.js";
import { compileRoute } from "../routing/index.js";
import type { PlannedPool, WorkerPlan } from "./messages.js";
import type { Names } from "./names.js";
import { resolveAddress } from "./resolve.js";

/** The socket addresses of all backends of a configuration, by the text of the address. */
export type ResolvedBackends = ReadonlyMap<string, NativeAddress>;

/**
 * Looks up the backends of a configuration, those aside that are known; done before anything is changed, because it takes time and
 * may fail.
 * @throws LongspliceError LS_ADDRESS_UNRESOLVED
 */
export async function resolveBackends(
  config: Config,
  known: ResolvedBackends = new Map(),
): Promise<ResolvedBackends> {
  const addresses = [...config.pools.values()].flatMap((pool) => pool.backends.map(({ address }) => address));
  const resolved = addresses.map(async (address): Promise<[string, NativeAddress]> => {
    const text = formatAddress(address);
    return [text, known.get(text) ?? (await resolveAddress(address))];
  });
  return new Map(await Promise.all(resolved));
}

/** What a plan is made of. */
interface Planning {
  readonly config: Config;
  /** By route. */
  readonly carriers: readonly Carrier[];
  readonly generation: number;
  /** See `WorkerPlan.load`. */
  readonly load: number;
  readonly pools: Pools;
  readonly table: LoadTable;
  readonly names: Names;
  readonly resolved: ResolvedBackends;
  readonly memory: PolicyMemory;
}

/** The memory that all instances of a policy have in common: the same for the same key and size. */
export type PolicyMemory = (key: string, bytes: number) => SharedArrayBuffer;

/** Makes of a configuration what workers serve by. `pools` must have applied the same configuration: slots come from it. */
export function planWorkers(planning: Planning): WorkerPlan {
  const { config, carriers, generation, load } = planning;
  const planned = [...config.pools.values()].map((pool) => planPool(pool, planning));
  const poolIndex = (name: string) => planned.findIndex((pool) => pool.name === name);
  const { header, connect, queue, response, idle, stream } = config.timeouts;
  return {
    generation,
    load,
    snapshot: {
      routes: config.routes.map((route, index) => {
        const { forward } = carriers[index] as Carrier;
        const seen = forward === "exchange" && reportsInHeader(config.pools.get(route.pool));
        return compileRoute(seen ? withoutReports(route) : route, {
          poolIndex,
          routeId: (label, pool) => planning.names.routeId(label, pool),
          forward,
        });
      }),
      timeouts: { header, connect, queue, response, idle, stream },
      limits: config.limits,
      forwarding: planForwarding(config),
      accessLog: config.accessLog,
      generation,
    },
    pools: planned,
    plugins: config.policies,
  };
}

/** What backends tell us of their load is nothing for clients. Responses that may pass in the kernel cannot be changed. */
function withoutReports(route: RouteConfig): RouteConfig {
  return { ...route, removeResponseHeaders: [...route.removeResponseHeaders, ORCA_HEADER] };
}

function planForwarding({ forwarded }: Config): NativeSnapshot["forwarding"] {
  const headers = new Set<string>(forwarded?.headers ?? []);
  return {
    active: forwarded !== null,
    trusted: forwarded?.trust ?? [],
    xForwardedFor: headers.has("x-forwarded-for"),
    xForwardedProto: headers.has("x-forwarded-proto"),
    xForwardedHost: headers.has("x-forwarded-host"),
    forwarded: headers.has("forwarded"),
  };
}

/** The owner of the row of the load table that counts a pool's retries. Addresses have no spaces. */
export function retriesKey(pool: string): string {
  return `${pool} its retries`;
}

function planPool(pool: PoolConfig, { pools, table, names, resolved, memory }: Planning): PlannedPool {
  const { name, proxyProtocol } = pool;
  const candidates = pools.backendsOf(name);
  const backends = candidates.map((backend): NativeBackend => {
    const { slot, address } = backend;
    const originalDestination = address === "original-destination";
    const where = resolved.get(address) ?? { host: "", port: 0, path: "" };
    return { slot, id: names.backendId(name, address), name: address, originalDestination, ...where };
  });
  return {
    name,
    proxyProtocol,
    retries: { slot: table.acquire(retriesKey(name)), ...pool.retries },
    backends,
    specs: pool.policy.map(({ name: policy, options, sharedBytes }, index) => ({
      name: policy,
      options,
      shared: sharedBytes === 0 ? null : memory(`${name} ${index} ${policy}`, sharedBytes),
    })),
    candidates,
    reportsInHeader: reportsInHeader(pool),
  };
}

function reportsInHeader(pool: PoolConfig | undefined): boolean {
  return pool?.load?.source === "header";
}
