import type { Backend } from "../../src/policy/index.js";
import { SlotOwners, withSlot } from "../by-slot.js";
import { TextHash } from "./text-hash.js";

/** The hashes of backends' addresses by slot, so that no request pays for them. */
export class Seeds {
  private readonly owners = new SlotOwners();
  private readonly hash = new TextHash();
  /** Two lanes per slot. */
  private lanes = new Int32Array(32);

  /** Makes sure that `first` and `second` are this backend's. */
  know(backend: Backend): void {
    if (!this.owners.has(backend)) this.learn(backend);
  }

  first(slot: number): number {
    return this.lanes[2 * slot] as number;
  }

  second(slot: number): number {
    return this.lanes[2 * slot + 1] as number;
  }

  private learn(backend: Backend): void {
    const { slot, address } = backend;
    this.owners.give(backend);
    this.lanes = withSlot(this.lanes, 2 * slot + 1);
    this.hash.take(address);
    this.lanes[2 * slot] = this.hash.a;
    this.lanes[2 * slot + 1] = this.hash.b;
  }
}
