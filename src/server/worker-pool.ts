import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { closeListener, type OpenListener } from "../dataplane/index.js";
import { LongspliceError } from "../errors/index.js";
import type { Log, WorkerSnapshot } from "../observe/index.js";
import { nameCounters } from "./counters.js";
import type { FromWorker, ToWorker, WorkerBirth, WorkerPlan } from "./messages.js";
import type { Names } from "./names.js";

/** What the pool of workers needs of the server. */
export interface WorkerPoolOptions {
  readonly load: SharedArrayBuffer;
  readonly log: Log;
  readonly names: Names;
  /** A worker ended although nobody told it to; the others go on. */
  readonly onCrash: (worker: number, error: unknown) => void;
}

type Stats = Extract<FromWorker, { kind: "stats" }>;
type Applied = Extract<FromWorker, { kind: "applied" }>;

/** One worker thread and what it owes us. */
class WorkerThread {
  private readonly thread: Worker;
  private readonly waitingForStats = new Map<number, (stats: Stats) => void>();
  private readonly waitingForPlan = new Map<number, (applied: Applied) => void>();
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
    private readonly options: WorkerPoolOptions,
  ) {
    this.thread = new Worker(new URL("./worker-main.js", import.meta.url), { workerData: birth });
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

  apply(plan: WorkerPlan): Promise<Applied> {
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
    const { logger } = this.options.log;
    switch (message.kind) {
      case "access":
        this.options.log.writeAccess(message.lines);
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
    if (!this.ending) this.options.onCrash(this.number, error);
  }
}

/** All worker threads of the process. */
export class WorkerPool {
  private readonly threads: WorkerThread[] = [];
  /** The last that was heard of each worker, so that counters do not fall when one is gone. */
  private readonly last = new Map<number, WorkerSnapshot>();

  constructor(private readonly options: WorkerPoolOptions) {}

  /**
   * Starts `count` workers; each takes over its own socket of every listener.
   * @param listeners by worker, then by listener
   * @throws what a worker failed with; then none is left running
   */
  async start(plan: WorkerPlan, listeners: readonly (readonly OpenListener[])[]): Promise<void> {
    for (const [number, own] of listeners.entries()) {
      const birth: WorkerBirth = {
        worker: number,
        workers: listeners.length,
        load: this.options.load,
        plan,
        listeners: own.map(({ fd, address }) => ({ fd, name: address })),
      };
      this.threads.push(new WorkerThread(number, birth, this.options));
    }
    const outcomes = await Promise.allSettled(this.threads.map((thread) => thread.ready));
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed === undefined) return;
    for (const [number, outcome] of outcomes.entries()) {
      // A worker takes its sockets over only just before it is ready.
      if (outcome.status === "rejected") listeners[number]?.forEach(closeListener);
    }
    await this.stop(0);
    throw failed.reason;
  }

  /** Workers that still run. */
  get alive(): number {
    return this.threads.filter((thread) => thread.alive).length;
  }

  /** Gives all workers another plan. Throws LS_RELOAD_FAILED if one of them cannot follow it. */
  async apply(plan: WorkerPlan): Promise<void> {
    const living = this.threads.filter((thread) => thread.alive);
    const answers = await Promise.all(living.map((thread) => thread.apply(plan)));
    const refusal = answers.find((answer) => answer.error !== undefined);
    if (refusal !== undefined) throw new LongspliceError("LS_RELOAD_FAILED", refusal.error ?? "");
  }

  /** The counters of every worker, those of ended ones as they last were. */
  async snapshots(): Promise<WorkerSnapshot[]> {
    await Promise.all(
      this.threads
        .filter((thread) => thread.alive)
        .map(async (thread) => {
          const answer = await Promise.race([thread.stats(), thread.ended]);
          if (answer === undefined) return this.silence(thread.number);
          this.last.set(thread.number, nameCounters(answer.stats, answer.policies, this.options.names));
        }),
    );
    return [...this.last.values()];
  }

  /** What an ended worker counted stays; what it held open is gone. */
  private silence(worker: number): void {
    const last = this.last.get(worker);
    if (last === undefined) return;
    const listeners = last.listeners.map((listener) => ({ ...listener, active: 0 }));
    this.last.set(worker, { ...last, listeners, idleUpstream: 0 });
  }

  /** Stops accepting and waits until every connection has ended, at most `limitMs`. True if all have. */
  async drain(limitMs: number): Promise<boolean> {
    for (const thread of this.threads) if (thread.alive) thread.send({ kind: "drain" });
    const all = Promise.all(this.threads.map((thread) => thread.drained)).then(() => true);
    return await within(limitMs, all, false);
  }

  /** Ends all workers, with the connections that are left, after at most `limitMs` by force. */
  async stop(limitMs = 1000): Promise<void> {
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
