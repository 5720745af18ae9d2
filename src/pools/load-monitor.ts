import { type BackendAddress, formatAddress } from "./address.js";
import { adviceOf } from "./agent-check.js";
import type { Advice } from "./backend.js";
import { AgentCheckQuestion, AgentQuestion, type Question } from "./load-questions.js";
import type { LoadReports } from "./load-report.js";

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
/** How far the pause between two questions strays from the interval, as a part of it. */
const JITTER = 0.1;

/**
 * Knows the load of the backends: asks agents for it, and forgets what is too old, whoever reported it. Lives on the main
 * thread; its timers do not keep the process alive.
 */
export class LoadMonitor {
  private watches = new Map<string, Watch>();

  constructor(
    private readonly sink: LoadSink,
    private readonly reports: LoadReports,
    private readonly onEvent: (event: LoadEvent) => void,
  ) {}

  /** Takes over a configuration, whose backends have their rows already. Who is watched alike goes on undisturbed. */
  apply(pools: Iterable<MonitoredPool>): void {
    const next = new Map<string, Watch>();
    for (const { name, load, maxConnections, backends } of pools) {
      for (const { address } of load === null ? [] : backends) {
        const text = formatAddress(address);
        const slot = this.sink.slotOf(name, text);
        const limited = maxConnections > 0;
        const key = JSON.stringify([name, text, slot, load, limited]);
        if (slot === undefined || next.has(key)) continue;
        const known = this.watches.get(key);
        next.set(key, known ?? this.watch(name, address, slot, limited, load as LoadSource));
      }
    }
    // First forgets the old ones, because a new one may watch the same row.
    for (const [key, watch] of this.watches) if (!next.has(key)) watch.close();
    for (const [key, watch] of next) if (!this.watches.has(key)) watch.start();
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
    limited: boolean,
    load: LoadSource,
  ): Watch {
    const text = formatAddress(address);
    const { reports, sink } = this;
    const advise = (advice: Advice) => sink.advise(pool, text, advice);
    return new Watch(load, this.questionOf(address, slot, limited, load, advise), {
      count: () => reports.count(slot),
      forget: () => {
        reports.clear(slot);
        if (load.source === "agent-check") advise({ reason: "agent: silent" });
      },
      tell: (silent, reason) => {
        const event = { pool, address: text, source: load.source, silent };
        this.onEvent(reason === undefined ? event : { ...event, reason });
      },
    });
  }

  private questionOf(
    address: BackendAddress,
    slot: number,
    limited: boolean,
    { source, port, timeout }: LoadSource,
    advise: (advice: Advice) => void,
  ): Question | null {
    // A Unix socket is on this machine, and so is the agent.
    const host = address.kind === "tcp" ? address.host : "127.0.0.1";
    const { reports } = this;
    if (source === "agent") return new AgentQuestion(host, port, timeout, slot, reports);
    if (source === "header") return null;
    return new AgentCheckQuestion(host, port, (orders) => {
      reports.heard(slot);
      advise(adviceOf(orders, limited));
    });
  }
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

  constructor(
    private readonly load: LoadSource,
    private readonly question: Question | null,
    private readonly backend: WatchedBackend,
  ) {
    this.seen = backend.count();
  }

  start(): void {
    // Nothing holds that was said before somebody watched.
    this.backend.forget();
    this.looking = setInterval(() => this.look(), this.load.expires / LOOKS).unref();
    if (this.question !== null) this.askIn(this.question, this.load.interval * JITTER * Math.random());
  }

  /** Stops, and forgets what was reported. */
  close(): void {
    this.closed = true;
    clearInterval(this.looking);
    clearTimeout(this.asking);
    this.current?.abort();
    this.question?.close();
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
    const pause = this.load.interval * (1 - JITTER + 2 * JITTER * Math.random());
    this.askIn(question, pause - (performance.now() - started));
  }
}
