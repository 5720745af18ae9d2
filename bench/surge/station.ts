/** A disk or a processor that is made up: it works on one thing after the other, in the order in which they come. */
import { setTimeout as sleep } from "node:timers/promises";

export class Station {
  private share = 0;
  private freeAt = 0;
  private given = 0;

  /** The part of its time that somebody else has, from 0 to less than 1. Work takes so much longer. */
  get taken(): number {
    return this.share;
  }

  set taken(share: number) {
    if (!(share >= 0 && share < 1)) throw new RangeError(`a share of ${share}`);
    this.share = share;
  }

  /** Resolves when the work is done. Timers are late, but that does not add up: the queue has a clock of its own. */
  async work(millis: number): Promise<void> {
    const now = performance.now();
    const duration = millis / (1 - this.share);
    this.freeAt = Math.max(now, this.freeAt) + duration;
    this.given += duration;
    await sleep(this.freeAt - now);
  }

  /** Milliseconds that it has worked up to now. */
  busyMillis(): number {
    return this.given - Math.max(0, this.freeAt - performance.now());
  }
}

/**
 * Milliseconds to read a file, as in the simulations of LARD (Pai et al., ASPLOS '98): two seeks and a rotation, the transfer
 * of each 4 KB, and another seek for each 44 KB beyond the first.
 */
export function readMillis(bytes: number): number {
  return 28 + 0.41 * Math.ceil(bytes / 4096) + 14 * Math.max(0, Math.ceil(bytes / 45_056) - 1);
}
