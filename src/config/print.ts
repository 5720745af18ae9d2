import { stringify } from "yaml";
import { formatAddress } from "./address.js";
import { formatStatusRange } from "./health-values.js";
import type { Config, PoolConfig, RouteConfig } from "./types.js";
import { formatDuration, formatSize } from "./units.js";

/** The effective configuration as YAML, which loads to the same configuration from any folder. */
export function printConfig(config: Config): string {
  return stringify(
    {
      ...config,
      listeners: config.listeners.map((listener) => ({
        ...listener,
        address: formatAddress(listener.address),
      })),
      routes: config.routes.map(printRoute),
      pools: Object.fromEntries([...config.pools].map(([name, pool]) => [name, printPool(pool)])),
      admin: config.admin && { ...config.admin, address: formatAddress(config.admin.address) },
      timeouts: Object.fromEntries(
        Object.entries(config.timeouts).map(([name, ms]) => [name, formatDuration(ms)]),
      ),
      pipeFrom: formatSize(config.pipeFrom),
      sockmapFrom: formatSize(config.sockmapFrom),
      sockmapTo: formatSize(config.sockmapTo),
      limits: { ...config.limits, headerBytes: formatSize(config.limits.headerBytes) },
    },
    { aliasDuplicateObjects: false, lineWidth: 0 },
  );
}

function printRoute({ label: _, ...route }: RouteConfig): object {
  return {
    ...route,
    setRequestHeaders: Object.fromEntries(route.setRequestHeaders),
    setResponseHeaders: Object.fromEntries(route.setResponseHeaders),
  };
}

function printPool({ name: _, traits: __, ...pool }: PoolConfig): object {
  return {
    ...pool,
    policy: pool.policy.map(({ name, options }) => ({ name, options })),
    discover: pool.discover.map((source) => ({ ...source, interval: formatDuration(source.interval) })),
    backends: pool.backends.map((backend) => ({ ...backend, address: formatAddress(backend.address) })),
    health: pool.health && {
      ...pool.health,
      status: pool.health.type === "tcp" ? undefined : pool.health.status.map(formatStatusRange),
      interval: formatDuration(pool.health.interval),
      fastInterval: formatDuration(pool.health.fastInterval),
      timeout: formatDuration(pool.health.timeout),
    },
    load: pool.load && {
      ...pool.load,
      interval: formatDuration(pool.load.interval),
      timeout: formatDuration(pool.load.timeout),
      expires: formatDuration(pool.load.expires),
    },
    outliers: pool.outliers && {
      ...pool.outliers,
      interval: formatDuration(pool.outliers.interval),
      ejection: formatDuration(pool.outliers.ejection),
      maxEjection: formatDuration(pool.outliers.maxEjection),
    },
    slowStart: formatDuration(pool.slowStart),
  };
}
