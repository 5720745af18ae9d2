/** Entries that a key may have its place in. */
const WAYS = 8;

/** Cells of an entry: the lanes of its key, whether it was asked for lately, then what belongs to the policy. */
const KEY_A = 0;
const KEY_B = 1;
const USED = 2;
const VALUE = 3;

/** Cells in front of the entries: one cache line, of which those below belong to the policy. */
const HEADER = 16;

/** What the policy likes to note. */
export const NOTE = 0;

/** Changes with each target that was sent elsewhere because its backend had too much to do. */
export const MOVES = 1;

/**
 * A table from keys of 64 bits to a few cells, in memory that several threads have in common: a fixed number of entries, and no locks.
 *
 * A key can only be in the eight entries of its bucket. If they are all taken, one that was not asked for since
 * the last time this happened goes; if all were, a random one does (the second chance of a clock, without its hand).
 *
 * Threads that write the same entry at the same time may leave it with the key of one and the cells of the other, or one key twice.
 * So what is found is always something that was written, but it may have been meant for another key. Whoever uses this table has to
 * bear that: for where a target is placed, it costs a request on another backend.
 */
export class LocalityTable {
  private readonly cells: Int32Array;
  private readonly stride: number;
  private readonly buckets: number;

  /** @param values cells of an entry for the policy, zero at first */
  constructor(
    shared: SharedArrayBuffer,
    private readonly values: number,
  ) {
    this.cells = new Int32Array(shared);
    this.stride = VALUE + values;
    this.buckets = Math.floor((this.cells.length - HEADER) / (WAYS * this.stride));
  }

  /** The table in the shared memory of a pool; one of its own where there is none, which is outside of the proxy. */
  static of(shared: SharedArrayBuffer | null, entries: number, values: number): LocalityTable {
    const memory = shared ?? new SharedArrayBuffer(LocalityTable.bytes(entries, values));
    return new LocalityTable(memory, values);
  }

  /** Size of a table with at least so many entries. */
  static bytes(entries: number, values: number): number {
    const cells = Math.ceil(entries / WAYS) * WAYS * (VALUE + values);
    return (HEADER + cells) * Int32Array.BYTES_PER_ELEMENT;
  }

  /** The first of the policy's cells in the entry of this key; -1 if there is none. `b` is not 0. */
  find(a: number, b: number): number {
    let at = this.bucket(a);
    for (let way = 0; way < WAYS; way++, at += this.stride) {
      if (this.get(at + KEY_B) !== b || this.get(at + KEY_A) !== a) continue;
      // Only then, or every request would take the cache line from the other threads.
      if (this.get(at + USED) === 0) this.set(at + USED, 1);
      return at + VALUE;
    }
    return -1;
  }

  /** Makes an entry for this key, which has none, in place of another if need be; the first of its cells. */
  add(a: number, b: number): number {
    const at = this.vacate(this.bucket(a), b);
    this.set(at + KEY_B, 0);
    for (let i = 0; i < this.values; i++) this.set(at + VALUE + i, 0);
    this.set(at + KEY_A, a);
    this.set(at + USED, 1);
    this.set(at + KEY_B, b);
    return at + VALUE;
  }

  get(cell: number): number {
    return Atomics.load(this.cells, cell);
  }

  set(cell: number, value: number): void {
    Atomics.store(this.cells, cell, value);
  }

  /** Where a bucket begins. */
  private bucket(a: number): number {
    // The upper bits decide, so the number of buckets need not be a power of two.
    const index = Math.floor(((a >>> 0) * this.buckets) / 2 ** 32);
    return HEADER + index * WAYS * this.stride;
  }

  /** The entry of a bucket that a new key gets. */
  private vacate(bucket: number, b: number): number {
    const start = (b >>> 1) % WAYS;
    let idle = -1;
    for (let i = 0; i < WAYS; i++) {
      const at = bucket + ((start + i) % WAYS) * this.stride;
      if (this.get(at + KEY_B) === 0) return at;
      if (idle < 0 && this.get(at + USED) === 0) idle = at;
    }
    if (idle >= 0) return idle;
    for (let way = 0; way < WAYS; way++) this.set(bucket + way * this.stride + USED, 0);
    return bucket + start * this.stride;
  }
}
