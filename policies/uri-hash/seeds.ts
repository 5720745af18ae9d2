import type { Backend } from "../../src/policy/index.js";
import { TextHash } from "./hash.js";

/** The hashes of backends' addresses by slot, so that no request pays for them. */
export class Seeds {
  /** Whose hashes they are: after a reload a slot may belong to another backend. */
  private readonly owners: string[] = [];
  private readonly hash = new TextHash();
  /** Two lanes per slot. */
  private lanes = new Int32Array(32);

  /** Makes sure that `first` and `second` are this backend's. */
  know(backend: Backend): void {
    if (this.owners[backend.slot] !== backend.address) this.learn(backend);
  }

  first(slot: number): number {
    return this.lanes[2 * slot] as number;
  }

  second(slot: number): number {
    return this.lanes[2 * slot + 1] as number;
  }

  private learn({ slot, address }: Backend): void {
    // Filled without gaps: V8 turns an array with wide ones into a dictionary.
    while (this.owners.length <= slot) this.owners.push("");
    if (2 * slot + 1 >= this.lanes.length) {
      const larger = new Int32Array(4 * slot + 2);
      larger.set(this.lanes);
      this.lanes = larger;
    }
    this.owners[slot] = address;
    this.hash.take(address);
    this.lanes[2 * slot] = this.hash.a;
    this.lanes[2 * slot + 1] = this.hash.b;
  }
}
