import type { Backend, Candidates } from "../src/policy/index.js";

/** The array itself if it has a cell for this slot, else a larger one with the same content. */
export function withSlot<A extends Int32Array | Float64Array>(array: A, slot: number): A {
  if (slot < array.length) return array;
  const larger = new (array.constructor as new (length: number) => A)(2 ** Math.ceil(Math.log2(slot + 1)));
  larger.set(array);
  return larger;
}

/** Whose slots they are: after a change of the pool a slot may belong to another backend, or to the same one with other labels. */
export class SlotOwners {
  private readonly owners: (Backend | undefined)[] = [];

  /** Is the slot this backend's? */
  has(backend: Backend): boolean {
    return this.owners[backend.slot] === backend;
  }

  /** From now on it is. */
  give(backend: Backend): void {
    // Filled without gaps: V8 turns an array with wide ones into a dictionary.
    while (this.owners.length <= backend.slot) this.owners.push(undefined);
    this.owners[backend.slot] = backend;
  }
}

/** What `BackendNumbers` has in place of a number that is not worked out yet. */
const NONE = -(2 ** 31);

/** A whole number for each backend that is worked out once, out of its labels for example. */
export class BackendNumbers {
  private assignment: unknown;
  /** By slot. */
  private numbers = new Int32Array(16).fill(NONE);

  /**
   * @param backends those that are known from the start
   * @param numberOf what it throws for one of `backends` is thrown here
   */
  constructor(
    backends: readonly Backend[],
    private readonly numberOf: (backend: Backend) => number,
  ) {
    for (const backend of backends) numberOf(backend);
  }

  /** Looks at these candidates from now on. */
  take(candidates: Candidates): void {
    if (candidates.assignment === this.assignment) return;
    this.assignment = candidates.assignment;
    this.numbers.fill(NONE);
  }

  /** Of the candidate at a position. Throws what the function throws, each time. */
  at(candidates: Candidates, position: number): number {
    const number = this.numbers[candidates.slotAt(position)];
    // Undefined where the slot is beyond the end.
    return number === undefined || number === NONE ? this.learn(candidates.at(position)) : number;
  }

  private learn(backend: Backend): number {
    const number = this.numberOf(backend);
    const known = this.numbers.length;
    this.numbers = withSlot(this.numbers, backend.slot);
    if (this.numbers.length > known) this.numbers.fill(NONE, known);
    this.numbers[backend.slot] = number;
    return number;
  }
}
