import type { Address } from "./address.js";
import { firstPauseOf, pauseOf } from "./pause.js";
import { type BackendCheck, type Probe, type ProbeResult, probe } from "./probe.js";

/** Replaceable parts, for tests. */
export interface ProberDeps {
  readonly probe?: Probe;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

/**
 * Checks one backend again and again, never twice at once. Pauses vary by a tenth, so that the checks of many
 * backends and many proxies do not fall into step. Its timers do not keep the process alive.
 */
export class Prober {
  private stopped = false;
  /** Breaks off the check under way. */
  private current: AbortController | undefined;
  private timer: NodeJS.Timeout | undefined;
  private readonly probe: Probe;
  private readonly random: () => number;

  /**
   * Starts at once: the first check follows within a tenth of the interval.
   * @param onResult says whether there is doubt, so that the next check comes after `fastInterval`
   */
  constructor(
    private readonly address: Address,
    private readonly check: BackendCheck,
    private readonly onResult: (result: ProbeResult) => boolean,
    deps: ProberDeps = {},
  ) {
    this.probe = deps.probe ?? probe;
    this.random = deps.random ?? Math.random;
    this.schedule(firstPauseOf(check.interval, this.random()));
  }

  /** Stops; a check under way is broken off and reports nothing. Idempotent. */
  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.current?.abort();
  }

  private schedule(delay: number): void {
    this.timer = setTimeout(() => void this.turn(), Math.max(0, delay)).unref();
  }

  private async turn(): Promise<void> {
    const started = performance.now();
    const current = new AbortController();
    this.current = current;
    const timeout = setTimeout(() => current.abort(), this.check.timeout).unref();
    const result = await this.probe(this.address, this.check, current.signal);
    clearTimeout(timeout);
    if (this.stopped) return;
    const { interval, fastInterval } = this.check;
    const doubtful = this.onResult(result);
    if (this.stopped) return;
    const pause = doubtful ? Math.min(fastInterval, interval) : interval;
    this.schedule(pauseOf(pause, this.random()) - (performance.now() - started));
  }
}
