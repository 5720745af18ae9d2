import type { UrlKey, UrlTable } from "../url-table.js";

/** Milliseconds between two moments at which a count decays. */
const TICK_MS = 128;

/** A request in the count: parts of one stay when counts decay. */
const ONE = 64;

/** No rate is as high; keeps the count far from the end of 32 bits. */
const MOST = 2 ** 30;

/** A subset shrinks when this share of what it can serve with one replica less would do. Between the two nothing changes. */
const SHRINK_BELOW = 0.8;

/**
 * How popular URLs are: requests of all workers, each of which counts the less the older it is (by exp(-age/window)). So the count
 * divided by the window is the rate of late.
 */
export class Popularity {
  private readonly perReplica: number;

  /**
   * @param window seconds after which a request counts for 1/e
   * @param perReplica requests per second that one replica is for
   * @param most replicas at most; at least 1
   */
  constructor(
    private readonly table: UrlTable,
    private readonly window: number,
    perReplica: number,
    private readonly most: number,
  ) {
    this.perReplica = perReplica * window * ONE;
  }

  /**
   * Counts a request.
   * @param now monotonic milliseconds
   * @returns how many replicas the URL is to have now, whether there are as many backends or not: a few that are away for a
   * moment should not cost a popular one what it has
   */
  count(key: UrlKey, now: number): number {
    const tick = Math.floor(now / TICK_MS) | 0;
    const at = this.table.find(key);
    if (at < 0) {
      this.table.put(key, tick, ONE, 1);
      return 1;
    }
    this.decay(at, tick);
    const count = this.table.value(at) < MOST ? this.table.add(at, ONE) : MOST;
    const before = this.table.extra(at);
    const after = this.replicas(count, before);
    if (after !== before) this.table.setExtra(at, after);
    return after;
  }

  /** One worker in a tick does it for all. */
  private decay(at: number, tick: number): void {
    const stamp = this.table.stamp(at);
    if (stamp === tick || !this.table.restamp(at, stamp, tick)) return;
    const kept = Math.exp(((stamp - tick) * TICK_MS) / 1000 / this.window);
    const count = this.table.value(at);
    this.table.add(at, Math.round(count * Math.min(kept, 1)) - count);
  }

  private replicas(count: number, before: number): number {
    // More than that are from before a reload.
    let replicas = Math.min(Math.max(1, before), this.most);
    while (replicas < this.most && count > replicas * this.perReplica) replicas++;
    while (replicas > 1 && count < (replicas - 1) * this.perReplica * SHRINK_BELOW) replicas--;
    return replicas;
  }
}
