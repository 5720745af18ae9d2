import type { BackendRules, BackendSpec, PooledBackend } from "./backend.js";
import { OutlierWatch } from "./outliers.js";
import { type Weighted, weightsInEffect } from "./weights.js";

/**
 * A pool as the configuration has it, as far as this layer cares. Of two backends with one address the later
 * counts.
 */
export interface PoolSpec extends BackendRules {
  readonly name: string;
  readonly backends: readonly BackendSpec[];
}

/** The backends of a pool under one configuration: what they are to each other. */
export class Pool {
  private readonly watch: OutlierWatch | undefined;
  /** Whether a backend may have, or ever had, a part of its weight. */
  private fine: boolean;

  /**
   * @param backends by address, in the order of the configuration, and configured
   * @param before the pool under the configuration before
   */
  constructor(
    { outliers, slowStart }: PoolSpec,
    readonly backends: ReadonlyMap<string, PooledBackend>,
    before?: Pool,
  ) {
    if (outliers !== null) {
      this.watch = new OutlierWatch(outliers, [...backends.values()], performance.now(), before?.watch);
    }
    this.fine = slowStart > 0 || before?.fine === true;
    this.weigh();
  }

  /** Whether there is something that time changes, so that `tick` has to be called. */
  get lives(): boolean {
    return this.watch !== undefined || this.startsSlowly;
  }

  /** Does what is due. */
  tick(): void {
    this.watch?.tick(performance.now());
    if (this.startsSlowly) this.weigh();
  }

  /** Writes the weights in effect. */
  weigh(): void {
    const backends = [...this.backends.values()];
    const now = performance.now();
    const parts = backends.map((backend) => ({ weight: backend.weight, share: backend.shareAt(now) }));
    this.fine ||= parts.some(({ share }) => share < 1);
    for (const [i, weight] of weightsInEffect(parts, this.fine).entries()) {
      (backends[i] as PooledBackend).writeWeight(weight, (parts[i] as Weighted).share);
    }
  }

  private get startsSlowly(): boolean {
    return [...this.backends.values()].some((backend) => backend.startsSlowly);
  }
}
