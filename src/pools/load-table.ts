import { LongspliceError } from "../errors/index.js";
import {
  LOAD_CAPACITY,
  LOAD_ROW_CELLS,
  LOAD_TABLE_BYTES,
  LoadCell,
  type LoadCellName,
} from "../policy/load-layout.js";

/**
 * The load table of this process and the list of who has which row. The memory is shared with all workers;
 * giving rows out is the main thread's business alone. Every cell is read and written atomically, because
 * native code of other threads writes at any time.
 */
export class LoadTable {
  readonly buffer = new SharedArrayBuffer(LOAD_TABLE_BYTES);
  readonly cells = new Int32Array(this.buffer);
  private readonly slots = new Map<string, number>();
  /** Rows whose owner is gone, longest ago first. */
  private readonly retired: number[] = [];
  private fresh = 0;

  /**
   * The slot of this key, given out now if it has none. A new owner starts with a row of zeros.
   * Throws LS_POOL_CAPACITY if every row is taken.
   */
  acquire(key: string): number {
    const owned = this.slots.get(key);
    if (owned !== undefined) return owned;
    const slot = this.recycle() ?? this.fresh++;
    if (slot >= LOAD_CAPACITY) {
      this.fresh = LOAD_CAPACITY;
      throw new LongspliceError(
        "LS_POOL_CAPACITY",
        `no more than ${LOAD_CAPACITY} backends fit, "${key}" does not`,
      );
    }
    const row = slot * LOAD_ROW_CELLS;
    for (let cell = row; cell < row + LOAD_ROW_CELLS; cell++) Atomics.store(this.cells, cell, 0);
    this.slots.set(key, slot);
    return slot;
  }

  /**
   * Takes the slot away from this key. The row goes to somebody else only after the last exchange and
   * connection on it ended, or their end would be counted for the wrong backend.
   */
  release(key: string): void {
    const slot = this.slots.get(key);
    if (slot === undefined) return;
    this.slots.delete(key);
    this.write(slot, "eligible", 0);
    this.retired.push(slot);
  }

  read(slot: number, cell: LoadCellName): number {
    return Atomics.load(this.cells, slot * LOAD_ROW_CELLS + LoadCell[cell]);
  }

  write(slot: number, cell: LoadCellName, value: number): void {
    Atomics.store(this.cells, slot * LOAD_ROW_CELLS + LoadCell[cell], value);
  }

  /** Reads a cell and sets it to 0, in one step. */
  take(slot: number, cell: LoadCellName): number {
    return Atomics.exchange(this.cells, slot * LOAD_ROW_CELLS + LoadCell[cell], 0);
  }

  private recycle(): number | undefined {
    const idle = (slot: number) => this.read(slot, "active") === 0 && this.read(slot, "connections") === 0;
    const position = this.retired.findIndex(idle);
    return position < 0 ? undefined : this.retired.splice(position, 1)[0];
  }
}
