/** The typed face of the addon: the only place that loads it. */
export { DataPlane, type DataPlaneHooks, type DataPlaneOptions } from "./data-plane.js";
export { type HeadView, MAX_NEEDED_HEADERS } from "./head-view.js";
export {
  closeListener,
  duplicateListener,
  limitConnections,
  type OpenListener,
  openListeners,
} from "./listen.js";
export {
  DECISION_PENDING,
  type ExchangeText,
  loadAddon,
  type NativeAddress,
  type NativeBackend,
  type NativeHeaderEdits,
  type NativeHistogram,
  type NativePool,
  type NativeRoute,
  type NativeSnapshot,
  type NativeStats,
  NO_BACKEND,
  type PacketEngineOptions,
  type PacketEngineResult,
  type PacketInterfaces,
  type PacketLastWords,
  type WorkerEngine,
} from "./native.js";
export {
  closePacketEngine,
  openPacketEngine,
  packetCounters,
  packetLastWords,
  refreshPacketEngine,
} from "./packet-engine.js";
export { requirePipeEngine } from "./pipe-engine.js";
export { type Carrier, planRoute } from "./planner.js";
export { type DoctorReport, type EngineReport, probe } from "./probe.js";
export { responseField } from "./response-field.js";
export { closeSockmapEngine, openSockmapEngine } from "./sockmap-engine.js";
