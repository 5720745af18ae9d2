import { resolve } from "node:path";
import { resolveAddress } from "./address.js";
import type { KnownPolicies } from "./rules.js";
import type { ConfigFile } from "./schema.js";
import type { Config, PoolConfig, RouteConfig, RouteMatch } from "./types.js";

type RouteFile = ConfigFile["routes"][number];

/** The effective configuration of a checked file. Relative paths begin at `folder`. */
export function effectiveConfig(file: ConfigFile, folder: string, policies: KnownPolicies): Config {
  const { admin } = file;
  return deepFreeze({
    ...file,
    listeners: file.listeners.map((listener) => ({
      ...listener,
      address: resolveAddress(listener.address, folder),
    })),
    routes: file.routes.map((route) => effectiveRoute(route, file.forward)),
    pools: new Map(
      Object.entries(file.pools).map(([name, pool]) => [name, effectivePool(name, pool, folder, policies)]),
    ),
    policies: file.policies.map((path) => resolve(folder, path)),
    admin: admin && { ...admin, address: resolveAddress(admin.address, folder) },
  });
}

function effectiveRoute(route: RouteFile, forward: Config["forward"]): RouteConfig {
  const header = Object.fromEntries(
    Object.entries(route.match.header).map(([name, pattern]) => [name.toLowerCase(), pattern]),
  );
  const match = { ...route.match, header };
  return {
    ...route,
    match,
    forward: route.forward ?? forward,
    setRequestHeaders: Object.entries(route.setRequestHeaders),
    setResponseHeaders: Object.entries(route.setResponseHeaders),
    label: labelOf(match),
  };
}

function effectivePool(
  name: string,
  pool: ConfigFile["pools"][string],
  folder: string,
  policies: KnownPolicies,
): PoolConfig {
  return {
    ...pool,
    name,
    traits: policies.traitsOf(pool.policy.map(({ name, options }) => ({ name, options }))),
    policy: pool.policy.map(({ name, options }) => ({
      name,
      options,
      sharedBytes: policies.sharedBytes(name, options),
    })),
    discover: pool.discover.map((source) =>
      source.file === undefined ? source : { ...source, file: resolve(folder, source.file) },
    ),
    backends: pool.backends.map((backend) => ({
      ...backend,
      address: resolveAddress(backend.address, folder),
    })),
  };
}

/** Short, and different for matches that differ: `GET *.example.com/api/ accept=video/*`. */
function labelOf({ host, path, pathRegex, method, header }: RouteMatch): string {
  const place = `${host ?? ""}${path ?? (pathRegex === undefined ? "" : `~${pathRegex}`)}`;
  const headers = Object.entries(header).map(([name, pattern]) => `${name}=${pattern}`);
  return [method?.join(",") ?? "", place, ...headers].filter((part) => part !== "").join(" ") || "*";
}

/** Freezes plain data; in a Map its values (the Map itself is read-only by type). */
function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const part of value instanceof Map ? value.values() : Object.values(value)) deepFreeze(part);
  return value;
}
