/**
 * Logs, metrics, the admin API and the dashboard. Nothing here knows the rest of longsplice: what is shown comes in
 * through {@link MetricsSource} and {@link AdminSource}, which the composition root implements.
 */
export type { Admin, AdminAddress, AdminOptions } from "./admin.js";
export { createAdmin } from "./admin.js";
export type { AdminLog, AdminSource, BackendAction } from "./admin-api.js";
export { LineSink } from "./line-sink.js";
export type { Log, Logger, LogLevel } from "./log.js";
export { createLog } from "./log.js";
export { Metrics } from "./metrics.js";
export type {
  BackendState,
  ByteCount,
  DiscoveryCount,
  FallbackCount,
  HistogramSnapshot,
  LinkEndCount,
  ListenerCount,
  MetricsSource,
  PolicyErrorCount,
  RequestCount,
  RetryCount,
  WorkerSnapshot,
} from "./snapshot.js";
export { mergeSnapshots } from "./snapshot.js";
export type { RouteInfo, ServiceInfo, ServiceState, Status } from "./status.js";
