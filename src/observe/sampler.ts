import { RateWindow } from "./rates.js";
import type { MetricsSource, WorkerSnapshot } from "./snapshot.js";
import { mergeSnapshots, readSnapshot } from "./snapshot.js";

const INTERVAL_MS = 1000;
/** A person or a page waits for the status; a worker that is this slow is shown with its last numbers instead. */
const FRESH_LIMIT_MS = 250;

/** Counters of all workers and how old they are. */
export interface Reading {
  readonly counters: WorkerSnapshot;
  readonly ageMs: number;
}

/**
 * Reads the counters once a second, so that rates and their history are there when somebody looks. That is one
 * message per worker and second; it stops with {@link Sampler.stop} and does not keep the process alive.
 */
export class Sampler {
  readonly window = new RateWindow(INTERVAL_MS);
  readonly #source: MetricsSource;
  readonly #timer: NodeJS.Timeout;
  #latest: WorkerSnapshot = mergeSnapshots([]);
  #readAt = performance.now();

  constructor(source: MetricsSource) {
    this.#source = source;
    this.#timer = setInterval(() => void this.#sample(), INTERVAL_MS);
    this.#timer.unref();
    void this.#sample();
  }

  /** The counters as of now, or the last ones when a worker does not answer at once. */
  async read(): Promise<Reading> {
    await this.#refresh(FRESH_LIMIT_MS);
    return { counters: this.#latest, ageMs: performance.now() - this.#readAt };
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #sample(): Promise<void> {
    if (await this.#refresh(INTERVAL_MS)) this.window.push(this.#latest, this.#readAt);
  }

  async #refresh(limitMs: number): Promise<boolean> {
    try {
      this.#latest = await readSnapshot(this.#source, limitMs);
      this.#readAt = performance.now();
      return true;
    } catch {
      // Whoever owns the workers notices and reports that one is gone; here its absence shows as the age.
      return false;
    }
  }
}
