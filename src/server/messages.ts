import type { NativePool, NativeSnapshot, NativeStats, WorkerEngine } from "../dataplane/index.js";
import type { Backend } from "../policy/index.js";
import type { PolicySpec } from "../policy/registry.js";

/** A pool as the main thread plans it; the worker adds what depends on its policy instances. */
export type PlannedPool = Omit<
  NativePool,
  "policy" | "neededHeaders" | "neededResponseHeaders" | "wantsDone" | "choosesBy"
> & {
  readonly specs: readonly PolicySpec[];
  /** The same backends as policies see them. */
  readonly candidates: readonly Backend[];
  /** Its backends report their load in responses. */
  readonly reportsInHeader: boolean;
};

/** What a worker is to serve: plain data that crosses threads. */
export interface WorkerPlan {
  readonly generation: number;
  /** Which load of the configuration it comes from: plans of one load differ in their backends only. */
  readonly load: number;
  readonly snapshot: Omit<NativeSnapshot, "pools">;
  readonly pools: readonly PlannedPool[];
  /** Files of the user's policies. */
  readonly plugins: readonly string[];
}

/** A listening socket of one worker, and who must begin with a PROXY header there (CIDR). */
export interface ListenerSocket {
  readonly fd: number;
  readonly name: string;
  readonly proxyFrom: readonly string[];
}

/** What a worker thread is born with. */
export interface WorkerBirth {
  readonly worker: number;
  readonly workers: number;
  readonly engine: WorkerEngine;
  readonly pipeFrom: number;
  readonly sockmapFrom: number;
  readonly sockmapTo: number;
  readonly load: SharedArrayBuffer;
  readonly plan: WorkerPlan;
  readonly listeners: readonly ListenerSocket[];
}

/** Counters of the policy chains of one pool. */
export interface PolicyProblems {
  readonly pool: string;
  errors: number;
  late: number;
  emptied: number;
}

/** Main thread to worker. */
export type ToWorker =
  | { readonly kind: "apply"; readonly plan: WorkerPlan }
  | { readonly kind: "stats"; readonly id: number }
  | { readonly kind: "drain" }
  | { readonly kind: "close" };

/** Worker to main thread. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "applied"; readonly generation: number; readonly error?: string }
  | {
      readonly kind: "stats";
      readonly id: number;
      readonly stats: NativeStats;
      readonly policies: PolicyProblems[];
    }
  | { readonly kind: "access"; readonly lines: Uint8Array }
  | {
      readonly kind: "log";
      readonly level: "info" | "warn" | "error";
      readonly message: string;
      readonly fields?: object;
    }
  | { readonly kind: "drained" };
