/** What the tests of pools share: a check, pools to be checked, and a world in which that happens. */
import { afterEach, beforeEach, vi } from "vitest";
import { formatAddress, type HealthEvent, LoadTable, type PoolSpec, Pools } from "../../src/pools/index.js";
import type { HealthCheck, Probe } from "../../src/pools/probe.js";

/** Two failures in a row make a backend unhealthy, one success makes it healthy. */
export const CHECK: HealthCheck = {
  type: "http",
  path: "/",
  status: [[200, 399]],
  interval: 1000,
  fastInterval: 1000,
  timeout: 100,
  rise: 1,
  fall: 2,
};

/** A pool of backends on 10.0.0.1, ports as given. */
export const pool = (name: string, ports: readonly number[], change: Partial<PoolSpec> = {}): PoolSpec => ({
  name,
  backends: ports.map((port) => ({
    address: { kind: "tcp", host: "10.0.0.1", port },
    weight: 1,
    labels: {},
  })),
  health: null,
  outliers: null,
  slowStart: 0,
  proxyProtocol: "none",
  maxConnections: 0,
  ...change,
});

/** Of the test that runs, by `usePools`. */
export let table: LoadTable;
export let events: HealthEvent[];
/** Addresses whose checks fail. */
export let down: Set<string>;
/** Those that were started last. */
export let pools: Pools;

const probe: Probe = async (address) => {
  const passed = !down.has(formatAddress(address));
  return { passed, detail: passed ? "status 200" : "refused" };
};

/** Pools whose backends are checked by this. */
export function startWith(checks: Probe, ...specs: PoolSpec[]): Pools {
  const onHealth = (event: HealthEvent) => events.push(event);
  pools = new Pools(table, specs, { probe: checks, random: () => 0.5, onHealth });
  return pools;
}

/** Pools whose backends pass their checks unless they are `down`. */
export const start = (...specs: PoolSpec[]): Pools => startWith(probe, ...specs);

export const health = (): Record<string, string> =>
  Object.fromEntries(pools.backends().map((backend) => [backend.address, backend.health]));

/** Each test has a table of its own, and a clock that stands still; its pools are closed. */
export function usePools(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    table = new LoadTable();
    events = [];
    down = new Set();
  });
  afterEach(() => {
    pools.close();
    vi.useRealTimers();
  });
}
