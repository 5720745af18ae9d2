import { isDeepStrictEqual } from "node:util";
import type { BackendConfig } from "../config/index.js";
import type { Logger } from "../observe/index.js";
import type { Read } from "./sources.js";

/** Up to so much is added to each wait, so that many proxies do not ask all at once. */
const JITTER = 0.1;
/** A server may say that an answer holds for years. */
const LONGEST_MS = 3_600_000;
/** As long as a timer can wait; a longer one would end at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** What a watcher needs besides its source. */
export interface WatcherOptions {
  readonly name: string;
  /** The least time between two look-ups, in milliseconds. */
  readonly interval: number;
  readonly logger: Pick<Logger, "warn" | "info">;
  /** Throws what speaks against other backends than before: that look-up has failed. */
  readonly admit: (backends: readonly BackendConfig[]) => void;
  /** Other backends than before. */
  readonly onChange: () => void;
  /** From 0 to below 1. */
  readonly random: () => number;
}

/** Asks one source again and again. What it said last counts until it says something else: a failure changes nothing. */
export class Watcher {
  /** Look-ups by what came of them. */
  readonly counts = { changed: 0, same: 0, failed: 0 };
  /** Fulfils with the first look-up, whatever came of it. */
  readonly first: Promise<void>;
  private failing = false;
  /** What the last reading left out. */
  private missing: readonly string[] = [];
  private closed = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly read: Read,
    private readonly options: WatcherOptions,
    /** What it said last; at first what is known otherwise. */
    public backends: readonly BackendConfig[],
  ) {
    this.first = this.look();
  }

  /** Asks no more. */
  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  private async look(): Promise<void> {
    const { interval, random } = this.options;
    const ttl = await this.ask();
    if (this.closed) return;
    const wait = Math.max(interval, Math.min((ttl ?? 0) * 1000, LONGEST_MS));
    const pause = Math.min(wait * (1 + JITTER * random()), LONGEST_TIMER_MS);
    this.timer = setTimeout(() => void this.look(), pause);
    this.timer.unref();
  }

  /** Returns how long the answer holds, in seconds, if somebody says so. */
  private async ask(): Promise<number | undefined> {
    const { name, logger, admit, onChange } = this.options;
    try {
      const { backends, ttl, missing = [] } = await this.read();
      if (this.closed) return undefined;
      const same = isDeepStrictEqual(backends, this.backends);
      if (!same) admit(backends);
      if (this.failing) logger.info({ source: name }, "discovery works again");
      this.failing = false;
      if (missing.length > 0 && !isDeepStrictEqual(missing, this.missing)) {
        logger.warn({ source: name, missing }, "targets without a known address are left out");
      }
      this.missing = missing;
      this.counts[same ? "same" : "changed"]++;
      this.backends = backends;
      if (!same) onChange();
      return ttl;
    } catch (error) {
      this.counts.failed++;
      if (!this.failing && !this.closed) {
        logger.warn({ source: name, err: error }, "discovery failed: the backends that were known last stay");
      }
      this.failing = true;
      return undefined;
    }
  }
}
