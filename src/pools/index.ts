export { type Address, type BackendAddress, formatAddress } from "./address.js";
export { LoadTable } from "./load-table.js";
export type { BackendSpec, BackendStatus, HealthEvent, PoolSpec } from "./pool.js";
export { Pools, type PoolsOptions } from "./pools.js";
export type { HealthCheck } from "./prober.js";
