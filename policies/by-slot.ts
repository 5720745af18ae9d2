import type { Backend } from "../src/policy/index.js";

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

/** A whole number for each backend that is worked out once, out of its labels for example. */
export class BackendNumbers {
  private readonly owners = new SlotOwners();
  private numbers = new Int32Array(16);

  /**
   * @param backends those that are known from the start
   * @param numberOf what it throws for one of `backends` is thrown here
   */
  constructor(
    backends: readonly Backend[],
    private readonly numberOf: (backend: Backend) => number,
  ) {
    for (const backend of backends) this.learn(backend);
  }

  /** Throws what the function throws, each time. */
  of(backend: Backend): number {
    if (!this.owners.has(backend)) this.learn(backend);
    return this.numbers[backend.slot] as number;
  }

  private learn(backend: Backend): void {
    this.numbers = withSlot(this.numbers, backend.slot);
    this.numbers[backend.slot] = this.numberOf(backend);
    this.owners.give(backend);
  }
}
