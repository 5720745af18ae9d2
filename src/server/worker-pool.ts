import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { WorkerEngine } from "../dataplane/index.js";
import { LongspliceError } from "../errors/index.js";
import { type Log, mergeSnapshots, type WorkerSnapshot } from "../observe/index.js";
import { nameCounters } from "./counters.js";
import type { FromWorker, ListenerSocket, ToWorker, WorkerBirth, WorkerPlan } from "./messages.js";
import type { Names } from "./names.js";

/** What the pool of workers needs of the server. */
export interface WorkerPoolOptions {
  readonly load: SharedArrayBuffer;
  /** Asked when a worker is born. */
  readonly engine: () => WorkerEngine;
  readonly pipeFrom: number;
  readonly sockmapFrom: number;
  readonly sockmapTo: number;
  readonly log: Log;
  readonly names: Names;
  /** Listening sockets for one worker, which become that worker's. */
  readonly handOver: () => ListenerSocket[];
  /** Workers end again and again: the process cannot go on. */
  readonly onFatal: (error: unknown) => void;
}

/** A worker that ends unexpectedly is replaced, unless it is the sixth within a minute: then something is always wrong. */
const MAX_CRASHES = 5;
const CRASH_WINDOW_MS = 60_000;

type Stats = Extract<FromWorker, { kind: "stats" }>;
type Applied = Extract<FromWorker, { kind: "applied" }>;

/** One worker thread and what it owes us. */
class WorkerThread {
  private readonly thread: Worker;
  private readonly waitingForStats = new Map<number, (stats: Stats) => void>();
  /** `undefined`: the worker ended before it answered. */
  private readonly waitingForPlan = new Map<number, (applied: Applied | undefined) => void>();
  private nextId = 0;
  alive = true;
  /** Told to end: its exit is no crash. */
  private ending = false;
  readonly ready: Promise<void>;
  readonly drained: Promise<void>;
  readonly ended: Promise<void>;

  constructor(
    readonly number: number,
    birth: WorkerBirth,
    private readonly log: Log,
    private readonly onCrash: (error: unknown) => void,
  ) {
    // Also right from the folder of what entries have in common (scripts/build).
    this.thread = new Worker(new URL("../server/worker-main.js", import.meta.url), { workerData: birth });
    this.ready = new Promise((resolve, reject) => {
      this.thread.on("message", (message: FromWorker) => {
        if (message.kind === "ready") resolve();
      });
      this.thread.once("error", reject);
    });
    this.drained = new Promise((resolve) => {
      this.thread.on("message", (message: FromWorker) => {
        if (message.kind === "drained") resolve();
      });
      this.thread.once("exit", () => resolve());
    });
    this.ended = once(this.thread, "exit").then(
      () => {},
      () => {},
    );
    this.thread.on("message", (message: FromWorker) => this.receive(message));
    this.thread.once("error", (error) => this.crashed(error));
    this.thread.once("exit", (code) => this.crashed(new Error(`exit code ${code}`)));
  }

  send(message: ToWorker): void {
    this.thread.postMessage(message);
  }

  stats(): Promise<Stats> {
    const id = this.nextId++;
    return new Promise((resolve) => {
      this.waitingForStats.set(id, resolve);
      this.send({ kind: "stats", id });
    });
  }

  apply(plan: WorkerPlan): Promise<Applied | undefined> {
    return new Promise((resolve) => {
      this.waitingForPlan.set(plan.generation, resolve);
      this.send({ kind: "apply", plan });
    });
  }

  end(): void {
    this.ending = true;
    if (this.alive) this.send({ kind: "close" });
  }

  /** For a thread that does not end by itself. */
  async kill(): Promise<void> {
    this.ending = true;
    await this.thread.terminate();
  }

  private receive(message: FromWorker): void {
    const { logger } = this.log;
    switch (message.kind) {
      case "access":
        this.log.writeAccess(message.lines);
        break;
      case "log":
        logger[message.level]({ worker: this.number, ...message.fields }, message.message);
        break;
      case "stats":
        this.waitingForStats.get(message.id)?.(message);
        this.waitingForStats.delete(message.id);
        break;
      case "applied":
        this.waitingForPlan.get(message.generation)?.(message);
        this.waitingForPlan.delete(message.generation);
    }
  }

  private crashed(error: unknown): void {
    if (!this.alive) return;
    this.alive = false;
    for (const resolve of this.waitingForPlan.values()) resolve(undefined);
    if (!this.ending) this.onCrash(error);
  }
}

/** All worker threads of the process. */
export class WorkerPool {
  private readonly threads: WorkerThread[] = [];
  /** The last that was heard of each worker, so that counters do not fall when one is gone. */
  private readonly last = new Map<number, WorkerSnapshot>();
  /** What ended workers counted, all in all. */
  private past = mergeSnapshots([]);
  /** When the last ones happened. */
  private crashes: number[] = [];
  private plan: WorkerPlan | undefined;
  private stopping = false;

  constructor(private readonly options: WorkerPoolOptions) {}

  /**
   * Starts `count` workers.
   * @throws what a worker failed with; then none is left running
   */
  async start(plan: WorkerPlan, count: number): Promise<void> {
    for (let number = 0; number < count; number++) this.threads.push(this.create(number, plan, count));
    const outcomes = await Promise.allSettled(this.threads.map((thread) => thread.ready));
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed === undefined) {
      // Only from now on are workers replaced: one that cannot start is the reason why nothing starts.
      this.plan = plan;
      return;
    }
    await this.stop(0);
    throw failed.reason;
  }

  private create(worker: number, plan: WorkerPlan, workers: number): WorkerThread {
    const { load, engine, pipeFrom, sockmapFrom, sockmapTo } = this.options;
    const sizes = { pipeFrom, sockmapFrom, sockmapTo };
    const listeners = this.options.handOver();
    const birth: WorkerBirth = { worker, workers, engine: engine(), ...sizes, load, plan, listeners };
    return new WorkerThread(worker, birth, this.options.log, (error) => this.crashed(worker, error));
  }

  /** A worker ended although nobody told it to. Its connections are gone; another one takes its place. */
  private crashed(worker: number, error: unknown): void {
    const { logger } = this.options.log;
    if (this.stopping || this.plan === undefined) return;
    const now = performance.now();
    this.crashes = [...this.crashes.filter((time) => now - time < CRASH_WINDOW_MS), now];
    const recent = this.crashes.length;
    const last = this.last.get(worker);
    if (last !== undefined) this.past = mergeSnapshots([this.past, withoutGauges(last)]);
    this.last.delete(worker);
    if (recent > MAX_CRASHES) {
      logger.fatal({ worker, err: error }, `a worker ended unexpectedly, the ${recent}th within a minute`);
      this.options.onFatal(error);
      return;
    }
    logger.error({ worker, err: error }, "a worker ended unexpectedly; another one takes its place");
    try {
      const replacement = this.create(worker, this.plan, this.threads.length);
      this.threads[worker] = replacement;
      // Its failure to start is the next crash.
      replacement.ready.catch(() => {});
    } catch (cause) {
      logger.fatal(
        { worker, err: cause },
        "the worker could not be replaced: its listeners cannot be opened again",
      );
      this.options.onFatal(cause);
    }
  }

  /** Workers that still run. */
  get alive(): number {
    return this.threads.filter((thread) => thread.alive).length;
  }

  /** Gives all workers another plan. Throws LS_RELOAD_FAILED if one of them cannot follow it. */
  async apply(plan: WorkerPlan): Promise<void> {
    this.plan = plan;
    const living = this.threads.filter((thread) => thread.alive);
    const answers = await Promise.all(living.map((thread) => thread.apply(plan)));
    const refusal = answers.find((answer) => answer?.error !== undefined);
    if (refusal !== undefined) throw new LongspliceError("LS_RELOAD_FAILED", refusal.error ?? "");
  }

  /** The counters of every worker, ended ones included. */
  async snapshots(): Promise<WorkerSnapshot[]> {
    await Promise.all(
      this.threads
        .filter((thread) => thread.alive)
        .map(async (thread) => {
          const answer = await Promise.race([thread.stats(), thread.ended]);
          if (answer === undefined) return;
          const { engine, names } = this.options;
          this.last.set(thread.number, nameCounters(answer.stats, answer.policies, names, engine()));
        }),
    );
    return [this.past, ...this.last.values()];
  }

  /** Stops accepting and waits until every connection has ended, at most `limitMs`. True if all have. */
  async drain(limitMs: number): Promise<boolean> {
    this.stopping = true;
    for (const thread of this.threads) if (thread.alive) thread.send({ kind: "drain" });
    const all = Promise.all(this.threads.map((thread) => thread.drained)).then(() => true);
    return await within(limitMs, all, false);
  }

  /** Ends all workers, with the connections that are left, after at most `limitMs` by force. */
  async stop(limitMs = 1000): Promise<void> {
    this.stopping = true;
    for (const thread of this.threads) thread.end();
    const all = Promise.all(this.threads.map((thread) => thread.ended)).then(() => true);
    if (await within(limitMs, all, false)) return;
    await Promise.all(this.threads.map((thread) => thread.kill()));
  }
}

async function within<T>(limitMs: number, promise: Promise<T>, otherwise: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(resolve, limitMs, otherwise);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What an ended worker counted stays; what it held open is gone. */
function withoutGauges(snapshot: WorkerSnapshot): WorkerSnapshot {
  const listeners = snapshot.listeners.map((listener) => ({ ...listener, active: 0 }));
  return { ...snapshot, listeners, linksActive: 0, records: { free: 0, ended: 0 }, idleUpstream: 0 };
}
