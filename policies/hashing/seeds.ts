import type { Backend, Candidates } from "../../src/policy/index.js";
import { withSlot } from "../by-slot.js";
import { TextHash } from "./text-hash.js";

/** The hashes of backends' addresses by slot, so that no request pays for them. */
export class Seeds {
  private readonly hash = new TextHash();
  private assignment: unknown;
  /** Two lanes per slot; the first is 0 where nothing is known. */
  lanes: Int32Array = new Int32Array(32);

  /** Looks at these candidates from now on. */
  take(candidates: Candidates): void {
    if (candidates.assignment === this.assignment) return;
    this.assignment = candidates.assignment;
    this.lanes.fill(0);
  }

  /** Fills in this backend's; returns what `lanes` is now. */
  learn({ slot, address }: Backend): Int32Array {
    this.lanes = withSlot(this.lanes, 2 * slot + 1);
    this.hash.take(address);
    this.lanes[2 * slot] = this.hash.a || 1;
    this.lanes[2 * slot + 1] = this.hash.b;
    return this.lanes;
  }
}
