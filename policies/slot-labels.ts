import type { Backend } from "../src/policy/index.js";

/** A whole number for each backend, made out of its labels once and not for every choice. */
export class SlotLabels {
  /** Whose numbers they are: after a reload a slot may belong to another backend. */
  private readonly owners: (Backend | null)[] = [];
  private numbers = new Int32Array(16);

  /**
   * @param backends those that are known from the start
   * @param read the number of a backend; what it throws for one of `backends` is thrown here
   */
  constructor(
    backends: readonly Backend[],
    private readonly read: (backend: Backend) => number,
  ) {
    for (const backend of backends) this.learn(backend);
  }

  of(backend: Backend): number {
    if (this.owners[backend.slot] !== backend) this.learn(backend);
    return this.numbers[backend.slot] as number;
  }

  private learn(backend: Backend): void {
    const { slot } = backend;
    const number = this.read(backend);
    // Filled without gaps: V8 turns an array with wide ones into a dictionary.
    while (this.owners.length <= slot) this.owners.push(null);
    if (slot >= this.numbers.length) {
      const larger = new Int32Array(2 * slot);
      larger.set(this.numbers);
      this.numbers = larger;
    }
    this.owners[slot] = backend;
    this.numbers[slot] = number;
  }
}
