import { z } from "../src/policy/index.js";
import { finalize, TextHash } from "./hashing/text-hash.js";

/** Cells of an entry. */
const Cell = { tag: 0, stamp: 1, value: 2, extra: 3 } as const;
const ENTRY_CELLS = 4;
/** Entries among which a URL has its place: 64 bytes, a cache line. */
const WAYS = 4;
const LINE_CELLS = WAYS * ENTRY_CELLS;

/** Tags that no URL has: nobody's entry, and one that is being written. */
const EMPTY = 0;
const BUSY = 1;

/** The option of policies that have such a table: for how many URLs it has room. */
export const urlEntries = z.int().min(64).max(4_194_304).default(65_536);

/** What the table knows a URL by: 64 bits of hash. One object serves for many URLs and nothing is allocated. */
export class UrlKey {
  a = 0;
  b = 0;
  private readonly hash = new TextHash();

  /** Takes the key of this URL. */
  take(host: string, target: string): void {
    this.hash.take(host);
    const { a, b } = this.hash;
    this.hash.take(target);
    this.a = finalize(Math.imul(a, 31) + this.hash.a);
    this.b = finalize(Math.imul(b, 31) + this.hash.b);
  }
}

/**
 * What the workers remember of URLs: a hash table of fixed size in memory that they have in common. A full one forgets what was
 * stamped longest ago, among the four entries where the new URL may be.
 *
 * What is in it is advice. Cells are written one by one, so a reader may, very rarely, see a stamp or value that belongs to the URL
 * that had the entry before.
 */
export class UrlTable {
  private readonly cells: Int32Array;
  private readonly mask: number;

  /** @param memory of `bytesFor(entries)`; without it the table is this instance's alone */
  constructor(entries: number, memory: SharedArrayBuffer | null) {
    this.cells = new Int32Array(memory ?? new SharedArrayBuffer(UrlTable.bytesFor(entries)));
    this.mask = this.cells.length / LINE_CELLS - 1;
  }

  /** Bytes of a table for at least so many URLs. */
  static bytesFor(entries: number): number {
    const lines = 2 ** Math.ceil(Math.log2(Math.max(1, entries / WAYS)));
    return lines * LINE_CELLS * Int32Array.BYTES_PER_ELEMENT;
  }

  /** Where the URL's entry is; -1 if there is none. Good until the next `put`. */
  find(key: UrlKey): number {
    const line = this.lineOf(key);
    const tag = tagOf(key);
    for (let at = line; at < line + LINE_CELLS; at += ENTRY_CELLS) {
      if (Atomics.load(this.cells, at) === tag) return at;
    }
    return -1;
  }

  /**
   * Writes the URL's entry, and makes it if need be.
   * @returns where it is; -1 if another worker took its place at the same moment
   */
  put(key: UrlKey, stamp: number, value: number, extra: number): number {
    const found = this.find(key);
    if (found >= 0) {
      this.write(found, stamp, value, extra);
      return found;
    }
    const at = this.oldest(this.lineOf(key));
    if (at < 0) return -1;
    const before = Atomics.load(this.cells, at);
    if (before === BUSY || Atomics.compareExchange(this.cells, at, before, BUSY) !== before) return -1;
    this.write(at, stamp, value, extra);
    Atomics.store(this.cells, at, tagOf(key));
    return at;
  }

  stamp(at: number): number {
    return Atomics.load(this.cells, at + Cell.stamp);
  }

  value(at: number): number {
    return Atomics.load(this.cells, at + Cell.value);
  }

  extra(at: number): number {
    return Atomics.load(this.cells, at + Cell.extra);
  }

  /** Adds to the value of an entry, whatever others do; the sum. */
  add(at: number, difference: number): number {
    return Atomics.add(this.cells, at + Cell.value, difference) + difference;
  }

  /** Changes the stamp if it is still `from`. True for the one worker that did it. */
  restamp(at: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.cells, at + Cell.stamp, from, to) === from;
  }

  setExtra(at: number, extra: number): void {
    Atomics.store(this.cells, at + Cell.extra, extra);
  }

  private write(at: number, stamp: number, value: number, extra: number): void {
    Atomics.store(this.cells, at + Cell.stamp, stamp);
    Atomics.store(this.cells, at + Cell.value, value);
    Atomics.store(this.cells, at + Cell.extra, extra);
  }

  private lineOf(key: UrlKey): number {
    return (key.a & this.mask) * LINE_CELLS;
  }

  /**
   * The entry of a line to give up: an empty one, else the one stamped longest ago, of equals that with the least value; -1 if others
   * are writing all of them.
   */
  private oldest(line: number): number {
    let best = -1;
    for (let at = line; at < line + LINE_CELLS; at += ENTRY_CELLS) {
      const tag = Atomics.load(this.cells, at);
      if (tag === EMPTY) return at;
      if (tag === BUSY) continue;
      if (best < 0) best = at;
      const older = this.stamp(at) - this.stamp(best);
      if (older < 0 || (older === 0 && this.value(at) < this.value(best))) best = at;
    }
    return best;
  }
}

function tagOf(key: UrlKey): number {
  return key.b === EMPTY || key.b === BUSY ? 2 : key.b;
}
