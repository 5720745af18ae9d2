import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { LongspliceError } from "../errors/index.js";

/** Fields that a route sets and removes in the heads that pass, in the form that native code takes. */
export interface NativeHeaderEdits {
  readonly set: readonly { readonly name: string; readonly template: string }[];
  /** Lower case. */
  readonly remove: readonly string[];
}

/** A compiled route. `host` and `path` are empty where their kind is `any`. */
export interface NativeRoute {
  readonly hostKind: "any" | "exact" | "suffix";
  readonly host: string;
  readonly pathKind: "any" | "prefix" | "segment" | "regex";
  readonly path: string;
  readonly methods: readonly string[];
  readonly headers: readonly { readonly name: string; readonly pattern: string }[];
  /** Index into the snapshot's pools. */
  readonly pool: number;
  /** Names the route in the counters; the same label has the same id for the life of the process. */
  readonly id: number;
  readonly label: string;
  /** What user space sees of the exchanges, where the packet engine can carry the rest. */
  readonly forward: "exchange" | "request" | "connection";
  readonly requestHeaders: NativeHeaderEdits;
  readonly responseHeaders: NativeHeaderEdits;
}

/** A backend's resolved socket address: `path` is empty for IP addresses. */
export interface NativeBackend {
  readonly slot: number;
  /** Names the backend in the counters. */
  readonly id: number;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Connect where the client wanted to go before it was redirected here; the address is not looked at then. */
  readonly originalDestination: boolean;
}

/** A pool; `policy` is the number that `onSelect` is given for it. */
export interface NativePool {
  readonly name: string;
  readonly policy: number;
  readonly neededHeaders: readonly string[];
  /** Null: nobody wants to know what is asked and answered. */
  readonly neededResponseHeaders: readonly string[] | null;
  readonly wantsDone: boolean;
  /** What a choice among its backends depends on. */
  readonly choosesBy: "load" | "target" | "request";
  /** Which PROXY header its backends are sent. */
  readonly proxyProtocol: "none" | "v1" | "v2";
  /**
   * How many of the requests at its backends may be there for another time: `percent` of them, and in any case `min`. They are
   * counted in the cell `active` of the row `slot`.
   */
  readonly retries: { readonly slot: number; readonly percent: number; readonly min: number };
  readonly backends: readonly NativeBackend[];
}

/** Everything that a worker serves by. Times in milliseconds. */
export interface NativeSnapshot {
  readonly routes: readonly NativeRoute[];
  readonly pools: readonly NativePool[];
  readonly timeouts: {
    readonly header: number;
    readonly connect: number;
    readonly queue: number;
    readonly response: number;
    readonly idle: number;
    readonly stream: number;
  };
  readonly limits: {
    readonly headerBytes: number;
    readonly headers: number;
    readonly connections: number;
    readonly queue: number;
  };
  /** `active`: X-Forwarded-* and Forwarded of a peer outside `trusted` (CIDR) are dropped, and those named are written. */
  readonly forwarding: {
    readonly active: boolean;
    readonly trusted: readonly string[];
    readonly xForwardedFor: boolean;
    readonly xForwardedProto: boolean;
    readonly xForwardedHost: boolean;
    readonly forwarded: boolean;
  };
  readonly accessLog: "off" | "json" | "combined";
  /** Of the configuration. */
  readonly generation: number;
}

/** A histogram of seconds; `counts` has one more entry than `bounds`. */
export interface NativeHistogram {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly sum: number;
}

/** The counters of a worker since it began. `route` and `backend` are ids, -1 for none. */
export interface NativeStats {
  readonly requests: readonly {
    readonly route: number;
    readonly backend: number;
    readonly code: number;
    readonly count: number;
  }[];
  readonly listeners: readonly {
    readonly address: string;
    readonly accepted: number;
    readonly active: number;
  }[];
  /** Bytes of bodies that went through user space's memory. */
  readonly copyBytesDownstream: number;
  readonly copyBytesUpstream: number;
  /** Bytes of bodies that went through pipes. */
  readonly pipeBytesDownstream: number;
  readonly pipeBytesUpstream: number;
  /** Bytes of bodies that the kernel handed from one socket to the other. */
  readonly sockmapBytesDownstream: number;
  readonly sockmapBytesUpstream: number;
  /** TCP payload that links carried past user space. */
  readonly packetBytesDownstream: number;
  readonly packetBytesUpstream: number;
  /** Connections that the packet engine should have carried and could not, by reason. */
  readonly packetFallbacks: Readonly<Record<string, number>>;
  /** Bodies that should not have been copied and were, or a part of them, by reason. */
  readonly bodyFallbacks: Readonly<Record<string, number>>;
  /** Links that stand now (`active`), and by the other words how many have ended in that way. */
  readonly links: { readonly active: number; readonly [end: string]: number };
  /** Room for more links, each of which takes two: records that nobody holds, and those of links that have ended. */
  readonly records: { readonly free: number; readonly ended: number };
  /** Requests that were sent again, or to another backend, by reason. */
  readonly retries: Readonly<Record<string, number>>;
  /** Requests that were not, because of the pool's budget. */
  readonly retriesRefused: number;
  readonly idleUpstream: number;
  readonly requestSeconds: NativeHistogram;
  readonly decisionSeconds: NativeHistogram;
}

/** Who moves the bytes of a worker. */
export type WorkerEngine = "copy" | "pipe" | "sockmap" | "packet";

/** What was asked and answered: the values of the pool's `neededResponseHeaders` in their order, undefined where there was none. */
export interface ExchangeText {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly headers: readonly (string | undefined)[];
}

/** What the native worker calls, and the memory that it shares with the caller. */
export interface NativeWorkerOptions {
  /** The load table, on shared memory; one row more than there are slots. */
  readonly load: Int32Array;
  readonly headBytes: Uint8Array;
  readonly headIndex: Int32Array;
  /** Cell 0: how many; then the slots of the candidates. */
  readonly candidates: Int32Array;
  /** `packet` needs `openPacketEngine` before, `sockmap` `openSockmapEngine`. */
  readonly engine: WorkerEngine;
  /** `pipe`: how many bytes of a body must be to come, or be there already where nobody knows its end. */
  readonly pipeFrom: number;
  /** `sockmap`: no fewer and no more bytes of a body than these must be to come. */
  readonly sockmapFrom: number;
  readonly sockmapTo: number;
  /** Number of the worker, from 0 and below the `workers` of `openPacketEngine`. */
  readonly worker: number;
  /** Request ids of two workers differ when their seeds do. */
  readonly idSeed: bigint;
  /** Returns the chosen slot, `NO_BACKEND` or `DECISION_PENDING`. */
  readonly onSelect: () => number;
  readonly onDone: (
    policy: number,
    slot: number,
    status: number,
    ok: boolean,
    headMicros: number,
    totalMicros: number,
    bytes: number,
    /** Null unless the pool has `neededResponseHeaders`. */
    about: ExchangeText | null,
  ) => void;
  /** The memory is the receiver's, which may transfer it. */
  readonly onAccessLog: (lines: Uint8Array<ArrayBuffer>) => void;
  readonly onLog: (level: "warn" | "error", message: string) => void;
  readonly onDrained: () => void;
}

/** A data plane in the event loop of the thread that made it. */
export interface NativeWorker {
  /** Serves by this snapshot from the next request on. Throws TypeError when the shape is wrong. */
  apply(snapshot: NativeSnapshot): void;
  /** Takes over a listening descriptor. Peers in `proxyFrom` (CIDR) must begin with a PROXY header. */
  listen(listener: { fd: number; name: string; proxyFrom: readonly string[] }): void;
  /** Stops accepting; `onDrained` follows when the last connection has ended. */
  drain(): void;
  /** Ends everything at once. May be called again. */
  close(): void;
  /** The answer that `onSelect` owed for this token. */
  decided(token: number, slot: number): void;
  /** Adds a whole field line, without its end, to the response of the request that is being decided. */
  addResponseField(token: number, line: string): void;
  /** The numbers of the policies that exchanges may still ask, each at least once. */
  policiesInUse(): readonly number[];
  stats(): NativeStats;
}

/** Where a socket listens: `path` is empty for IP addresses, which must be numeric. */
export interface NativeAddress {
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

/** What the packet engine needs to know at its start. */
export interface PacketEngineOptions {
  /** Where it attaches; `auto`: lo and every interface by which connections can come and go. */
  readonly interfaces: "auto" | readonly string[];
  /** How many workers will use it. */
  readonly workers: number;
}

/** Whether the packet engine can be used here, or why not. */
export type PacketEngineResult =
  /** `interfaces`: where it is attached now. */
  | {
      readonly status: "loaded";
      readonly hooks: "tcx" | "clsact";
      readonly interfaces: readonly string[];
    }
  /** `kernel`: the oldest version that would do. */
  | { readonly status: "unsupported"; readonly kernel: string; readonly detail: string }
  /** `capability`: what this process lacks. */
  | { readonly status: "denied"; readonly capability: string; readonly detail: string }
  /** `detail`: the end of what the kernel said. */
  | { readonly status: "failed"; readonly detail: string }
  /** The addon was built where there was no compiler or library for BPF. */
  | { readonly status: "not-built"; readonly detail: string };

/** Closed sockets for which the programs of the packet engine still translate, by what they wait for. */
export interface PacketLastWords {
  /** For the other end's acknowledgement of FIN, or of what came before it. */
  readonly unacknowledged: number;
  /** For the other end's FIN. */
  readonly unanswered: number;
}

/**
 * Why there is no pipe: the process has no descriptors left or enough pipes (`pool`), the kernel gives this user none of
 * that size (`pipe_pages`), or refuses the system call (`splice`).
 */
export type PipeObstacle = "pool" | "descriptors" | "pipe_pages" | "splice";

/** Whether the sockmap engine can be used here, or why not. */
export type SockmapEngineResult =
  | { readonly status: "usable" }
  /** `needs`: what the kernel would have to be, or what this process would have to hold. */
  | { readonly status: "unsupported" | "denied"; readonly needs: string; readonly detail: string }
  /** The kernel took the program, but what it did with bytes was wrong. */
  | { readonly status: "unreliable"; readonly detail: string }
  /** `detail`: the end of what the kernel said. */
  | { readonly status: "failed"; readonly detail: string }
  /** The addon was built where there was no compiler or library for BPF. */
  | { readonly status: "not-built"; readonly detail: string };

/** Where the packet engine is attached, and what kept it from somewhere else; empty if nothing did. */
export interface PacketInterfaces {
  readonly interfaces: readonly string[];
  readonly error: string;
}

/** What the addon exports. */
export interface NativeAddon {
  readonly Worker: new (options: NativeWorkerOptions) => NativeWorker;
  /** Opens a non-blocking listening socket with SO_REUSEPORT. Throws an error with `errno`. */
  openListener(address: NativeAddress, backlog: number): { fd: number; address: string; port: number };
  closeDescriptor(fd: number): void;
  /** Another descriptor of the same socket. */
  duplicateDescriptor(fd: number): number;
  /** Raises the soft limit of descriptors to the hard one; the limit that is in effect then. */
  raiseFileLimit(): number;
  /** The most sockets of clients and backends that the process may have, besides what snapshots say. */
  setSocketLimit(descriptors: number): void;
  /** Carries a byte through a pipe; null, or why that cannot be. */
  probePipeEngine(): PipeObstacle | null;
  /** Loads the program of the sockmap engine, which the process has one of, and has it move bytes on loopback to see whether it can. */
  openSockmapEngine(): SockmapEngineResult;
  /** As `openSockmapEngine`, but nothing stays. */
  probeSockmapEngine(): SockmapEngineResult;
  /** To be called when the last worker has ended. */
  closeSockmapEngine(): void;
  /** Loads and attaches the packet engine of the process, which has at most one. */
  openPacketEngine(options: PacketEngineOptions): PacketEngineResult;
  /** Loads and attaches it to all interfaces as `openPacketEngine` does, and takes it away again at once. */
  probePacketEngine(): PacketEngineResult;
  /** Attaches to interfaces that are new, and forgets those that are gone. */
  refreshPacketEngine(): PacketInterfaces;
  /** Since it was opened, by the names of LS_COUNTERS in native/bpf/include/abi.h. */
  packetCounters(): Record<string, number>;
  /** What parked sockets that are closed wait for; null where the kernel does not say. */
  packetLastWords(): PacketLastWords | null;
  closePacketEngine(): void;
  /** Why RE2 refuses a pattern, or null. */
  regexError(pattern: string): string | null;
  /** Index of the route that a head leads to, or -1. */
  matchRoute(
    snapshot: NativeSnapshot,
    method: string,
    authority: string,
    path: string,
    headers: readonly (readonly [string, string])[],
  ): number;
  /** Index of the route by which a plain request may pass in the kernel, or -1 for what user space has to see. */
  verdictOf(snapshot: NativeSnapshot, method: string, authority: string, path: string): number;
  /** Reads a head that arrives in pieces cut at `splits`. */
  parseHead(
    kind: "request" | "response",
    bytes: Uint8Array,
    splits: readonly number[],
  ): {
    status: "complete" | "need-more" | "error";
    reason: string;
    length?: number;
    target?: string;
    code?: number;
    fields?: [string, string][];
  };
  /** The names of a connection's states, in order. */
  readonly stateNames: readonly string[];
  /** Cell numbers of the load table as native code has them. */
  readonly loadLayout: Readonly<Record<string, number>>;
}

/** `onSelect`: the policies left no candidate. */
export const NO_BACKEND = -1;
/** `onSelect`: a policy is still thinking; `decided` follows. */
export const DECISION_PENDING = -2;

let loaded: NativeAddon | undefined;

/**
 * Loads the addon, once per thread.
 * @throws LongspliceError LS_ADDON_MISSING when it was not built or this node cannot load it
 */
export function loadAddon(): NativeAddon {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  const root = dirname(require.resolve("longsplice/package.json"));
  const file = join(root, "build/Release/longsplice.node");
  if (!existsSync(file)) throw new LongspliceError("LS_ADDON_MISSING", `${file} does not exist`);
  try {
    loaded = require(file) as NativeAddon;
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new LongspliceError("LS_ADDON_MISSING", `${file}: ${detail}`, { cause });
  }
  return loaded;
}
