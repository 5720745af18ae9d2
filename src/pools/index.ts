export { type Address, type BackendAddress, formatAddress } from "./address.js";
export type { Advice, BackendSpec, BackendStatus, HealthEvent } from "./backend.js";
export { LoadTable } from "./load-table.js";
export type { OutlierRules } from "./outliers.js";
export type { PoolSpec } from "./pool.js";
export { Pools, type PoolsOptions } from "./pools.js";
export type { HealthCheck, StatusRange } from "./probe.js";
