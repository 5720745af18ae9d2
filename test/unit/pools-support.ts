/** What the tests of pools share: a check, and pools to be checked. */
import type { PoolSpec } from "../../src/pools/index.js";
import type { HealthCheck } from "../../src/pools/probe.js";

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
