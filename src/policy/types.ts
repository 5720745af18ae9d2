import type { Candidates } from "./candidates.js";

/** A server that a pool may send exchanges to. */
export interface Backend {
  /** Row of the load table. Stable for as long as the pool has this backend; small, so it indexes arrays well. */
  readonly slot: number;
  /** `127.0.0.1:80`, `[::1]:80` or `unix:/run/app.sock`. */
  readonly address: string;
  /** As configured. What is in effect at the moment, and lower at times, is `Candidates.weight`. */
  readonly weight: number;
  /** Free words from the configuration. */
  readonly labels: Readonly<Record<string, string>>;
}

/** The part of a request that a policy may look at. */
export interface RequestHead {
  /** Upper case, for example `GET`. */
  readonly method: string;
  /** Path and query as the client sent them: `/a/b?c=d`. */
  readonly target: string;
  /** The target up to, without, `?`. */
  readonly path: string;
  /** The target after `?`; empty if there is none. */
  readonly query: string;
  /** Host without port, lower case. */
  readonly host: string;
  /**
   * Value of a header that the policy named in `needs.headers` (any case); undefined if the request has none,
   * and for every header that was not named: those never leave native code.
   */
  header(name: string): string | undefined;
}

/** What else a choice may depend on. */
export interface SelectContext {
  /** Monotonic clock, milliseconds. Compare with itself only. */
  readonly now: number;
  /** The client's IP address, without port. */
  readonly clientAddress: string;
  /** 0 for the first choice, 1 and up when a backend failed and another one is wanted. */
  readonly attempt: number;
  /**
   * Adds a field to the response of this exchange; only for policies whose module says `addsResponseHeaders`. What was added for
   * an attempt that failed is forgotten.
   *
   * @throws TypeError when the name is not a field name, or the value holds what no field may
   */
  addResponseHeader(name: string, value: string): void;
}

/** How an exchange ended. */
export interface ExchangeSummary {
  readonly backend: Backend;
  /** Status of the final response; 0 if there was none, 499 if the client left before it. */
  readonly status: number;
  /**
   * False if the backend refused, reset, timed out or sent something unreadable, answered with 5xx, or if the client did not take
   * the response to its end.
   */
  readonly ok: boolean;
  /** From choosing the backend to its response head, microseconds; 0 if there was no response. */
  readonly headMicros: number;
  /** From the request head to the last byte of the response, microseconds. */
  readonly totalMicros: number;
  /** Body bytes sent to the client. */
  readonly bytes: number;
  /** As in `RequestHead`; empty unless the pool has a policy that names `needs.responseHeaders`. */
  readonly method: string;
  readonly target: string;
  readonly host: string;
  /** Value of a response header that the policy named in `needs.responseHeaders` (any case); undefined if there was none. */
  responseHeader(name: string): string | undefined;
}

/** One policy at work: one instance per pool and worker, so its state needs no locks. */
export interface Policy {
  /**
   * Narrows the candidates in place. The first one that every policy of the pool left is used; none left means
   * "no backend for this request" (503).
   *
   * `head` and `candidates` are valid until this returns, or until the returned promise settles. A promise
   * must settle within `POLICY_BUDGET_MS`; a policy that throws, rejects or is late has no say for this request.
   */
  select(head: RequestHead, candidates: Candidates, context: SelectContext): void | Promise<void>;
  /**
   * Called once per exchange that this policy had a part in, and before that for each attempt that failed and was repeated
   * (status 0, `ok` false), unless it was one on a kept connection that had ended. Only a policy that learns should have it: it
   * costs a call.
   */
  onDone?(summary: ExchangeSummary): void;
  /** Called when the pool goes away or its configuration changes. Stop timers here. */
  close?(): void;
}

/** What a policy instance may use of its surroundings. */
export interface PolicyEnv {
  /** Name of the pool. */
  readonly pool: string;
  /** This worker's number, from 0. */
  readonly worker: number;
  /** How many workers there are. Each has an instance of its own. */
  readonly workers: number;
  /** All backends of the pool, eligible or not. */
  readonly backends: readonly Backend[];
  /**
   * The backends that may get requests now, with their live load: for a look at the whole pool outside of `select`, by a timer. Always the same
   * object, filled anew by each call; narrowing it has no effect. Backends with as many exchanges as they may have are in it, too.
   */
  candidates(): Candidates;
  /**
   * Memory that the instances of all workers have in common: as many bytes as the module's `sharedBytes` says, zero at first.
   * It stays over a reload as long as pool, policy and size do. Null when the module does not ask for it.
   */
  readonly shared: SharedArrayBuffer | null;
  /** Uniform in [0, 1). Use it instead of Math.random, so that tests can repeat a sequence. */
  random(): number;
  /** Writes a line to the proxy's log. Not for every request. */
  log(message: string): void;
  /**
   * For a policy that chooses by target: where it has sent targets before holds no longer, so that requests which pass in the
   * kernel come back once, within about a second. Costs every link of the process a return, so not without need; a
   * call within 250 ms of the last one has no effect.
   */
  reconsider(): void;
}

/** A problem with a policy's options. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Outcome of a schema's validation. */
export type SchemaResult<O> =
  | { readonly value: O; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/**
 * The part of Standard Schema v1 (standardschema.dev) that longsplice calls; zod, valibot and arktype schemas fit.
 * Validation must be synchronous.
 */
export interface Schema<O> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    validate(value: unknown): SchemaResult<O> | Promise<SchemaResult<O>>;
  };
}

/** See `PolicyModule.choosesBy`. */
export type ChoiceBasis = "load" | "client" | "target" | "request";

/** What a policy is told of requests and responses. */
export interface PolicyNeeds {
  /** Header names of requests, in any case. */
  readonly headers: readonly string[];
  /** Header names of responses. Even if it is empty, `onDone` is told of the request. */
  readonly responseHeaders?: readonly string[];
}

/** A trait of a module: fixed, or as the checked options have it. */
export type ByOptions<O, T> = T | { from(options: O): T }["from"];

/** What a plugin file exports by default (or an array of these). */
export interface PolicyModule<O> {
  /** The word for `policy:` in the configuration. Lower case, digits and hyphens. */
  readonly name: string;
  /** The version of this interface that the policy was written against. */
  readonly apiVersion: 1;
  /** Checks and completes the options. Without options in the configuration it is given `undefined`. */
  readonly options: Schema<O>;
  /**
   * What a choice depends on. `load`: nothing of the request, so a client may stay with a backend while its requests lead to
   * the same pool. `client`: the client's address, so the same holds. `target`: host, path and query, so the same target may go
   * where it went before, until the backends change. `request`, which stands for leaving it out: anything, so every request is asked about.
   */
  readonly choosesBy?: ByOptions<O, ChoiceBasis>;
  /**
   * Fixed before traffic: only these headers cross from native code. With `responseHeaders`, which may be empty, `onDone` is told of
   * the request, and of these fields of the response; user space has to read the heads of responses for that.
   */
  readonly needs: ByOptions<O, PolicyNeeds>;
  /** It calls `SelectContext.addResponseHeader`; responses cannot pass user space then. */
  readonly addsResponseHeaders?: boolean;
  /** Bytes of `PolicyEnv.shared`. */
  sharedBytes?(options: O): number;
  /** Makes the instance for one pool in one worker. */
  create(options: O, env: PolicyEnv): Policy;
}

/** The version of the policy interface that this longsplice speaks. */
export const POLICY_API_VERSION = 1;

/**
 * Gives a policy module its types: the options that `create` receives are inferred from the schema.
 * Returns its argument; a plugin that does without it works just as well.
 */
export function definePolicy<O>(module: PolicyModule<O>): PolicyModule<O> {
  return module;
}
