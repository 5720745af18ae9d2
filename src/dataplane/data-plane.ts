import { randomBytes } from "node:crypto";
import { HEAD_INDEX_CELLS, HeadView } from "./head-view.js";
import {
  loadAddon,
  type NativeSnapshot,
  type NativeStats,
  type NativeWorkerOptions,
  type WorkerEngine,
} from "./native.js";

/** What a data plane asks of, and tells, the thread that runs it. */
export interface DataPlaneHooks {
  /**
   * Chooses a backend for a request: returns the slot of one of `candidates` (cell 0 is their number), `NO_BACKEND`, or
   * `DECISION_PENDING` and calls `decided(head.token, ...)` later. `head` is overwritten by the next request.
   */
  select(head: HeadView, candidates: Int32Array): number;
  done: NativeWorkerOptions["onDone"];
  /** Whole lines of the access log; the memory is the receiver's, which may transfer it. */
  accessLog(lines: Uint8Array<ArrayBuffer>): void;
  log(level: "warn" | "error", message: string): void;
  drained(): void;
}

/** What is fixed for the life of a data plane. */
export interface DataPlaneOptions {
  /** The load table, on shared memory. */
  readonly load: Int32Array;
  /** The largest `limits.headerBytes` that will be applied. */
  readonly headerBytes: number;
  /** `packet` and `sockmap` need their engine to be open. */
  readonly engine: WorkerEngine;
  /** Bodies from this size on are for the pipe engine. */
  readonly pipeFrom: number;
  /** Bodies between these sizes are for the sockmap engine. */
  readonly sockmapFrom: number;
  readonly sockmapTo: number;
  /** Number of the worker, from 0. */
  readonly worker: number;
}

/** Slots fit here for every pool: the load table has no more. */
const MAX_CANDIDATES = 4096;

/** The native data plane of this thread, typed. */
export class DataPlane {
  private readonly worker;
  /** Given to `select` each time, until `giveAwayHead`. */
  private head: HeadView;
  private readonly headBytes: Buffer;
  private readonly headIndex = new Int32Array(HEAD_INDEX_CELLS);

  /** @throws LongspliceError as `loadAddon` does */
  constructor(options: DataPlaneOptions, hooks: DataPlaneHooks) {
    const { load, headerBytes, engine, pipeFrom, sockmapFrom, sockmapTo, worker } = options;
    // A head's parts are never longer than the head; the client's address comes on top.
    this.headBytes = Buffer.alloc(headerBytes + 64);
    this.head = new HeadView(this.headBytes, this.headIndex);
    const candidates = new Int32Array(MAX_CANDIDATES + 1);
    this.worker = new (loadAddon().Worker)({
      load,
      headBytes: this.headBytes,
      headIndex: this.headIndex,
      candidates,
      engine,
      pipeFrom,
      sockmapFrom,
      sockmapTo,
      worker,
      idSeed: randomBytes(8).readBigUInt64LE(),
      onSelect: () => hooks.select(this.head, candidates),
      onDone: hooks.done,
      onAccessLog: hooks.accessLog,
      onLog: hooks.log,
      onDrained: hooks.drained,
    });
  }

  /** Makes the current head the property of whoever holds it; later requests come with another object. */
  giveAwayHead(): void {
    this.head.detach();
    this.head = new HeadView(this.headBytes, this.headIndex);
  }

  /** Serves by this snapshot from the next request on; exchanges under way end under the old one. */
  apply(snapshot: NativeSnapshot): void {
    this.worker.apply(snapshot);
  }

  /** Accepts connections from a listening descriptor, which it takes over. `proxyFrom`: who must send a PROXY header (CIDR). */
  listen(listener: { fd: number; name: string; proxyFrom: readonly string[] }): void {
    this.worker.listen(listener);
  }

  /** Stops accepting and lets exchanges end; `hooks.drained` follows. */
  drain(): void {
    this.worker.drain();
  }

  /** Ends everything at once. */
  close(): void {
    this.worker.close();
  }

  /** The answer to a `select` that returned `DECISION_PENDING`. */
  decided(token: number, slot: number): void {
    this.worker.decided(token, slot);
  }

  /** Adds a line that `responseField` made to the response of the request that is being decided, or waits for it, by its head's token. */
  addResponseField(token: number, line: string): void {
    this.worker.addResponseField(token, line);
  }

  /** The `policy` numbers of pools that exchanges may still ask: of the snapshot in effect and of those that some began under. */
  policiesInUse(): readonly number[] {
    return this.worker.policiesInUse();
  }

  /** Counters since the start. */
  stats(): NativeStats {
    return this.worker.stats();
  }
}
