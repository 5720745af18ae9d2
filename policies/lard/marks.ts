import type { Backend, Candidates } from "../../src/policy/index.js";
import { SlotOwners, withSlot } from "../by-slot.js";
import { TextHash } from "../hashing/text-hash.js";

/** A slot has 12 bits: the load table has 4096 rows. */
const SLOT_BITS = 12;
const SLOT_MASK = (1 << SLOT_BITS) - 1;

/**
 * How backends are written in the table: the slot in the lower 12 bits, above it 19 bits of the hash of the address and one that is
 * always set. After a reload a slot may belong to another backend; that one has another mark. Never 0, which stands for nobody.
 */
export class Marks {
  private readonly owners = new SlotOwners();
  private readonly hash = new TextHash();
  /** By slot. */
  private marks = new Int32Array(16);

  constructor(backends: readonly Backend[]) {
    for (const backend of backends) this.of(backend);
  }

  /** The mark of a backend. */
  of(backend: Backend): number {
    if (!this.owners.has(backend)) this.learn(backend);
    return this.marks[backend.slot] as number;
  }

  /** The position of the candidate that has this mark; -1 if there is none. */
  find(mark: number, candidates: Candidates): number {
    const slot = mark & SLOT_MASK;
    for (let i = 0; i < candidates.length; i++) {
      if (candidates.slotAt(i) === slot) return this.of(candidates.at(i)) === mark ? i : -1;
    }
    return -1;
  }

  private learn(backend: Backend): void {
    const { slot, address } = backend;
    this.owners.give(backend);
    this.marks = withSlot(this.marks, slot);
    this.hash.take(address);
    // The bit of the hash that would be the lowest is given up.
    this.marks[slot] = (this.hash.a << SLOT_BITS) | (1 << SLOT_BITS) | slot;
  }
}
