import { isDeepStrictEqual } from "node:util";
import { type BackendAddress, formatAddress } from "./address.js";
import { adviceOf, type BackendOrders } from "./agent-check.js";
import type { Advice } from "./backend.js";
import { AgentCheckQuestion, AgentQuestion, type Question } from "./load-questions.js";
import type { LoadReports } from "./load-report.js";
import { firstPauseOf, pauseOf } from "./pause.js";

/** Where the load of a pool's backends is learned from. Times in milliseconds. */
export interface LoadSource {
  /** `agent`: our own, asked over HTTP. `header`: responses; workers read those. `agent-check`: the protocol of HAProxy. */
  readonly source: "agent" | "header" | "agent-check";
  /** Of the agent, on the backend's host. */
  readonly port: number;
  readonly interval: number;
  readonly timeout: number;
  /** What was reported holds so long. */
  readonly expires: number;
}

/** A pool, as far as the monitor cares. */
export interface MonitoredPool {
  readonly name: string;
  readonly load: LoadSource | null;
  /** Exchanges at once per backend; 0 = unlimited. */
  readonly maxConnections: number;
  readonly backends: readonly { readonly address: BackendAddress }[];
}

/** Who has the backends. */
export interface LoadSink {
  /** The row of a backend in the load table; undefined if there is no such backend. */
  slotOf(pool: string, address: string): number | undefined;
  /** Does with a backend as it is advised, instead of what was advised before. */
  advise(pool: string, address: string, advice: Advice): void;
}

/** A backend fell silent, or is heard again. */
export interface LoadEvent {
  readonly pool: string;
  readonly address: string;
  readonly source: LoadSource["source"];
  readonly silent: boolean;
  /** What went wrong with the last question, if something did. */
  readonly reason?: string;
}

/** So often within `expires` is looked at what is too old. */
const LOOKS = 4;

/**
 * Knows the load of the backends: asks agents for it, and forgets what is too old, whoever reported it. Lives on the main
 * thread; its timers do not keep the process alive.
 */
export class LoadMonitor {
  /** By backend and who tells of its load. */
  private watches = new Map<string, Watch>();

  constructor(
    private readonly sink: LoadSink,
    private readonly reports: LoadReports,
    private readonly onEvent: (event: LoadEvent) => void,
  ) {}

  /**
   * Takes over a configuration, whose backends have their rows already. Who is watched alike goes on undisturbed, and what was
   * reported holds on where only times or limits are others.
   */
  apply(pools: Iterable<MonitoredPool>): void {
    const next = new Map<string, Watch>();
    for (const { name, load, maxConnections, backends } of pools) {
      if (load === null) continue;
      for (const { address } of backends) {
        const text = formatAddress(address);
        const slot = this.sink.slotOf(name, text);
        const key = JSON.stringify([name, text, slot, load.source, load.port]);
        if (slot === undefined || next.has(key)) continue;
        const rules = { load, limited: maxConnections > 0 };
        const known = this.watches.get(key);
        next.set(key, known?.goesBy(rules) ? known : this.watch(name, address, slot, rules, known));
      }
    }
    // First forgets the old ones, because a new one may watch the same row.
    for (const [key, watch] of this.watches) {
      const successor = next.get(key);
      if (successor !== watch) watch.stop();
      if (successor === undefined) watch.forget();
    }
    for (const [key, watch] of next) {
      const before = this.watches.get(key);
      if (before !== watch) watch.start(before);
    }
    this.watches = next;
  }

  /** Stops all questions. Idempotent. */
  close(): void {
    this.apply([]);
  }

  private watch(
    pool: string,
    address: BackendAddress,
    slot: number,
    rules: WatchRules,
    before: Watch | undefined,
  ): Watch {
    const text = formatAddress(address);
    const { reports, sink } = this;
    const { source } = rules.load;
    const advise = (advice: Advice) => sink.advise(pool, text, advice);
    return new Watch(rules, this.questionOf(address, slot, rules, advise, before?.question), {
      count: () => reports.count(slot),
      forget: () => {
        reports.clear(slot);
        if (source === "agent-check") advise({ reason: "agent: silent" });
      },
      tell: (silent, reason) => {
        const event = { pool, address: text, source, silent };
        this.onEvent(reason === undefined ? event : { ...event, reason });
      },
    });
  }

  private questionOf(
    address: BackendAddress,
    slot: number,
    { load: { source, port, timeout }, limited }: WatchRules,
    advise: (advice: Advice) => void,
    before: Question | null | undefined,
  ): Question | null {
    // A Unix socket is on this machine, and so is the agent.
    const host = address.kind === "tcp" ? address.host : "127.0.0.1";
    const { reports } = this;
    if (source === "agent") return new AgentQuestion(host, port, timeout, slot, reports);
    if (source === "header") return null;
    const obey = (orders: BackendOrders) => advise(adviceOf(orders, limited));
    const heed = (orders: BackendOrders) => {
      reports.heard(slot);
      obey(orders);
    };
    if (!(before instanceof AgentCheckQuestion)) return new AgentCheckQuestion(host, port, heed);
    // What the orders mean may be something else now.
    obey(before.orders);
    return new AgentCheckQuestion(host, port, heed, before.orders);
  }
}

/** By what a backend is watched. */
interface WatchRules {
  readonly load: LoadSource;
  /** The pool limits the exchanges of a backend. */
  readonly limited: boolean;
}

/** What a watch does with what it sees. */
interface WatchedBackend {
  /** Another number whenever the backend was heard. */
  count(): number;
  forget(): void;
  tell(silent: boolean, reason: string | undefined): void;
}

/** One backend whose load is known from one source. */
class Watch {
  private seen: number;
  private heardAt = performance.now();
  private silent = false;
  private reason: string | undefined;
  private asking: NodeJS.Timeout | undefined;
  private looking: NodeJS.Timeout | undefined;
  /** Breaks off the question under way. */
  private current: AbortController | undefined;
  private closed = false;

  private readonly load: LoadSource;

  constructor(
    private readonly rules: WatchRules,
    readonly question: Question | null,
    private readonly backend: WatchedBackend,
  ) {
    this.load = rules.load;
    this.seen = backend.count();
  }

  goesBy(rules: WatchRules): boolean {
    return isDeepStrictEqual(rules, this.rules);
  }

  /** @param before who watched the same until now: what was said to it holds */
  start(before?: Watch): void {
    if (before === undefined) this.backend.forget();
    else ({ seen: this.seen, heardAt: this.heardAt, silent: this.silent, reason: this.reason } = before);
    this.looking = setInterval(() => this.look(), this.load.expires / LOOKS).unref();
    if (this.question !== null) this.askIn(this.question, firstPauseOf(this.load.interval, Math.random()));
  }

  stop(): void {
    this.closed = true;
    clearInterval(this.looking);
    clearTimeout(this.asking);
    this.current?.abort();
    this.question?.close();
  }

  /** Forgets what was reported. */
  forget(): void {
    this.backend.forget();
  }

  private look(): void {
    const count = this.backend.count();
    if (count !== this.seen) this.heard(count);
    else if (!this.silent && performance.now() - this.heardAt >= this.load.expires) {
      this.silent = true;
      this.question?.forget();
      this.backend.forget();
      this.backend.tell(true, this.reason);
    }
  }

  private heard(count: number): void {
    this.seen = count;
    this.heardAt = performance.now();
    if (!this.silent) return;
    this.silent = false;
    this.backend.tell(false, undefined);
  }

  private askIn(question: Question, delay: number): void {
    this.asking = setTimeout(() => void this.ask(question), Math.max(0, delay)).unref();
  }

  private async ask(question: Question): Promise<void> {
    const started = performance.now();
    const current = new AbortController();
    this.current = current;
    const timeout = setTimeout(() => current.abort(), this.load.timeout).unref();
    try {
      await question.ask(current.signal);
      this.reason = undefined;
    } catch (error) {
      this.reason = current.signal.aborted
        ? `no answer within ${this.load.timeout} ms`
        : error instanceof Error
          ? error.message
          : String(error);
    }
    clearTimeout(timeout);
    if (this.closed) return;
    const pause = pauseOf(this.load.interval, Math.random());
    this.askIn(question, pause - (performance.now() - started));
  }
}
