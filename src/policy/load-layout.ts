/**
 * The shape of the load table: one shared block of 32-bit signed cells that native code writes and policies
 * read. A row is 64 bytes, one cache line, so that workers counting on different backends do not
 * invalidate each other's lines. `native/` mirrors these numbers; they change together or not at all.
 */

/** Cells per backend. A slot's row starts at cell `slot * LOAD_ROW_CELLS`. */
export const LOAD_ROW_CELLS = 16;

/** Backends that fit into the table, over all pools. */
export const LOAD_CAPACITY = 4096;

/** Size of the whole table in bytes. */
export const LOAD_TABLE_BYTES = LOAD_CAPACITY * LOAD_ROW_CELLS * Int32Array.BYTES_PER_ELEMENT;

/** Cell within a row. Cells without a name are zero and reserved. */
export const LoadCell = {
  /** Exchanges in flight, all workers. Atomic. */
  active: 0,
  /** 1 if a policy may be offered this backend. */
  eligible: 1,
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
  /** One of `HealthCode`. */
  health: 8,
} as const;

/** Name of a cell. */
export type LoadCellName = keyof typeof LoadCell;

/** What the `health` cell holds. */
export const HealthCode = { unknown: 0, healthy: 1, unhealthy: 2, draining: 3 } as const;

/** A backend's health in words. */
export type Health = keyof typeof HealthCode;
