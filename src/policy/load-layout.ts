/**
 * The shape of the load table: one shared block of 32-bit signed cells that native code writes and policies
 * read. A row is 128 bytes, two cache lines, so that workers counting on different backends do not
 * invalidate each other's lines; the second line is for what happens in pools that watch for outliers only.
 * `native/` mirrors these numbers; they change together or not at all.
 */

/** Cells per backend. A slot's row starts at cell `slot * LOAD_ROW_CELLS`. */
export const LOAD_ROW_CELLS = 32;

/** Backends that fit into the table, over all pools. */
export const LOAD_CAPACITY = 4096;

/**
 * A cell of a row behind the last backend's: grows when a policy wants to be asked again about targets that it has placed. Native
 * code compares it with what it was.
 */
export const PLACEMENT_CELL = LOAD_CAPACITY * LOAD_ROW_CELLS;

/** Size of the whole table in bytes. */
export const LOAD_TABLE_BYTES = (LOAD_CAPACITY + 1) * LOAD_ROW_CELLS * Int32Array.BYTES_PER_ELEMENT;

/** Cell within a row. */
export const LoadCell = {
  /** Exchanges in flight, all workers. Atomic. */
  active: 0,
  /** 1 if a policy may be offered this backend. */
  eligible: 1,
  /** In effect; means something beside the others of the pool only. */
  weight: 2,
  /** Exchanges allowed at once; 0 = unlimited. */
  maxConnections: 3,
  /** Moving average of the time to the response head, in microseconds; 0 = nothing measured yet. */
  ewmaMicros: 4,
  /** Failed exchanges; wraps. */
  errors: 5,
  /** Exchanges started; wraps. */
  requests: 6,
  /** Open upstream connections, busy and idle. */
  connections: 7,
  /** One of `HealthCode`; of a backend that was ejected for its conduct, what it was before. */
  health: 8,
  /** The least status of a response that is a failure of the backend's; 0: nobody watches, so the next four cells stand still. */
  failuresFrom: 16,
  /** Exchanges that ended well; wraps. */
  successes: 17,
  /** Exchanges that ended with such a status or without a proper answer, and connections that failed; wraps. */
  failures: 18,
  /** Failures since the last success. */
  failureRun: 19,
  /** The most that `failureRun` has been since this was set to 0. */
  longestRun: 20,
  /**
   * What the backend's host or the backend itself reports (`ReportedFigure`), plus 1; 0 = not known, or not any more. Not in the line of
   * `active`, because a report may come with each response.
   */
  cpu: 21,
  memory: 22,
  io: 23,
  tcpConnections: 24,
  activeSockets: 25,
  queue: 26,
  utilization: 27,
  /** How often it has reported; wraps. */
  reports: 28,
} as const;

/**
 * What a backend may report of its load: `cpu`, `memory`, `io` and `utilization` (by its own account) in thousandths of what it
 * can do, the others as they were counted.
 */
export const REPORTED_FIGURES = [
  "cpu",
  "memory",
  "io",
  "tcpConnections",
  "activeSockets",
  "queue",
  "utilization",
] as const;

/** Name of a figure that backends report. */
export type ReportedFigure = (typeof REPORTED_FIGURES)[number];

/** Name of a cell. */
export type LoadCellName = keyof typeof LoadCell;

/** What the `health` cell holds. */
export const HealthCode = { unknown: 0, healthy: 1, unhealthy: 2, draining: 3 } as const;

/** A backend's health in words. */
export type Health = keyof typeof HealthCode;
