import type { Candidates } from "../../src/policy/index.js";
import { ExchangeLoads } from "../exchange-loads.js";
import type { Lots } from "../lots.js";

/** The two limits of a load. */
export interface Limits {
  /** Below it a backend has not enough to do. */
  readonly low: number;
  /** Above it requests wait longer than they need to. */
  readonly high: number;
}

/**
 * When a backend has so much more to do than another that locality has to stand back (Pai et al., README.md): its load is
 * above `high` while another's is below `low`, or it is at twice `high`.
 *
 * The paper's front end lets in no more than (n-1) * high + low - 1 requests at a time, so that never all backends are above `high` and none
 * below `low`. Nothing is kept out here: beyond that bound both limits grow in proportion to the sum of the loads.
 */
export class Balance {
  readonly loads: ExchangeLoads;

  constructor(
    private readonly limits: Limits,
    lots: Lots,
  ) {
    this.loads = new ExchangeLoads(lots);
  }

  /** Who should have the next request for a target of this candidate's instead of it; -1 if it should itself. */
  relief(position: number): number {
    const { loads, limits } = this;
    const { low, high } = limits;
    if (loads.beyond(position, high) <= 0) return -1;
    const bound = (loads.count - 1) * high + low - 1;
    const sum = Math.max(loads.sum(), bound);
    if (loads.beyond(position, high, sum, bound) <= 0) return -1;
    const least = loads.least();
    const wanted =
      loads.beyond(least, low, sum, bound) < 0 || loads.beyond(position, 2 * high, sum, bound) >= 0;
    return wanted ? least : -1;
  }

  /** Whether one of these candidates should be relieved. */
  imbalanced(candidates: Candidates): boolean {
    this.loads.take(candidates);
    let most = -1;
    for (let i = 0; i < candidates.length; i++) {
      if (this.loads.weight(i) > 0 && (most < 0 || this.loads.compare(i, most) > 0)) most = i;
    }
    return most >= 0 && this.relief(most) >= 0;
  }
}
