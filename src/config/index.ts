export { type Address, type BackendAddress, formatAddress, parseAddress } from "./address.js";
export type { Interfaces } from "./interfaces.js";
export { type ConfigDeps, configFromFlags, type LoadedConfig, loadConfig } from "./load.js";
export { parseMembers } from "./members.js";
export type { ConfigFlags } from "./overlay.js";
export { printConfig } from "./print.js";
export {
  ConfigError,
  formatProblem,
  formatWarning,
  InvalidValue,
  type Problem,
  type Warning,
} from "./problem.js";
export type { KnownPolicies } from "./rules.js";
export type {
  BackendConfig,
  Config,
  DiscoverConfig,
  EngineSetting,
  ForwardMode,
  ListenerConfig,
  PoolConfig,
  RouteConfig,
  RouteMatch,
} from "./types.js";
