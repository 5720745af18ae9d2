import { release } from "node:os";
import type { RateHistory, Rates, RateWindow } from "./rates.js";
import { codeClass } from "./rates.js";
import type { BackendState, ByteCount, FallbackCount, ListenerCount, WorkerSnapshot } from "./snapshot.js";

/** Whether traffic should be sent here. `degraded`: at least one worker is gone. */
export type ServiceState = "starting" | "ready" | "degraded" | "draining";

/** A route as it is in effect: `forward` and `engine` are what the planner settled on. */
export interface RouteInfo {
  readonly label: string;
  readonly pool: string;
  readonly forward: string;
  readonly engine: string;
}

/** What the composition root knows without asking a worker. */
export interface ServiceInfo {
  readonly version: string;
  readonly state: ServiceState;
  /** `file` is null when the command line alone is the configuration; `generation` counts successful loads from 1. */
  readonly config: { readonly file: string | null; readonly generation: number; readonly loadedAt: Date };
  readonly workers: { readonly configured: number; readonly alive: number };
  /** Bound addresses, so with the real port where the configuration says 0. */
  readonly listeners: readonly string[];
  readonly routes: readonly RouteInfo[];
  readonly pools: readonly { readonly name: string; readonly policy: readonly string[] }[];
}

/** A backend in `/api/v1/status` and in the answer to a change of its state. */
export interface BackendStatus {
  readonly address: string;
  readonly health: BackendState["health"];
  /** Why it is what it is: what the last check saw, or why it was ejected; empty if it never changed. */
  readonly reason: string;
  readonly weight: number;
  /** The part of the weight that is in effect: less than 100 while the backend starts slowly, or its agent asks for less. */
  readonly weightPercent: number;
  readonly active: number;
  readonly connections: number;
  readonly requests: number;
  readonly errors: number;
  readonly requestsPerSecond: number;
  /** Moving average of the time to the response head; null before the first response. */
  readonly latencyMs: number | null;
  /** See `BackendState`; empty if it reports nothing, or has not lately. */
  readonly load: Readonly<Record<string, number>>;
}

/** The answer of `GET /api/v1/status`. */
export interface Status {
  readonly version: string;
  readonly pid: number;
  readonly node: string;
  readonly kernel: string;
  readonly state: ServiceState;
  readonly uptimeSeconds: number;
  /** Milliseconds since the counters were read; more than a second means that a worker does not answer. */
  readonly countersAgeMs: number;
  readonly config: { readonly file: string | null; readonly generation: number; readonly loadedAt: string };
  readonly workers: ServiceInfo["workers"];
  readonly listeners: readonly ListenerCount[];
  readonly routes: readonly (RouteInfo & { readonly requests: number; readonly requestsPerSecond: number })[];
  readonly pools: readonly {
    readonly name: string;
    readonly policy: readonly string[];
    readonly backends: readonly BackendStatus[];
  }[];
  readonly totals: {
    readonly requests: number;
    readonly byClass: Readonly<Record<string, number>>;
    readonly connections: number;
    readonly activeConnections: number;
    readonly idleUpstream: number;
    readonly policyErrors: number;
    readonly logDropped: number;
    readonly bytes: readonly ByteCount[];
    readonly fallbacks: readonly FallbackCount[];
  };
  readonly rates: Rates;
  readonly history: RateHistory;
}

/** Everything that {@link buildStatus} puts together. */
export interface StatusParts {
  readonly info: ServiceInfo;
  readonly backends: readonly BackendState[];
  readonly counters: WorkerSnapshot;
  readonly countersAgeMs: number;
  /** Lines that the log of the process lost. */
  readonly logDropped: number;
  readonly window: RateWindow;
}

/** Puts the status together; it only combines what it is given, so it never waits for a worker. */
export function buildStatus(parts: StatusParts): Status {
  const { info, counters, window } = parts;
  return {
    version: info.version,
    pid: process.pid,
    node: process.version,
    kernel: release(),
    state: info.state,
    uptimeSeconds: Math.round(process.uptime()),
    countersAgeMs: Math.round(parts.countersAgeMs),
    config: {
      file: info.config.file,
      generation: info.config.generation,
      loadedAt: info.config.loadedAt.toISOString(),
    },
    workers: info.workers,
    listeners: listenersOf(info.listeners, counters.listeners),
    routes: info.routes.map((route) => ({
      ...route,
      requests: sum(counters.requests.filter((row) => row.route === route.label)),
      requestsPerSecond: window.ofRoute(route.label),
    })),
    pools: info.pools.map(({ name, policy }) => ({
      name,
      policy,
      backends: parts.backends.filter((b) => b.pool === name).map((b) => backendStatus(b, window)),
    })),
    totals: totalsOf(counters, parts.logDropped),
    rates: window.rates(),
    history: window.history(),
  };
}

/** One backend in the form of the status. */
export function backendStatus(backend: BackendState, window: RateWindow): BackendStatus {
  const { address, health, reason, weight, weightPercent, ewmaMicros, load } = backend;
  return {
    address,
    health,
    reason,
    weight,
    weightPercent,
    active: backend.active,
    connections: backend.connections,
    requests: backend.requests,
    errors: backend.errors,
    requestsPerSecond: window.ofBackend(backend.pool, address),
    latencyMs: ewmaMicros === 0 ? null : ewmaMicros / 1000,
    load,
  };
}

/** Every bound listener, also one that no worker has counted a connection for yet. */
function listenersOf(bound: readonly string[], counted: readonly ListenerCount[]): ListenerCount[] {
  return bound.map(
    (address) => counted.find((row) => row.address === address) ?? { address, accepted: 0, active: 0 },
  );
}

function totalsOf(counters: WorkerSnapshot, logDropped: number): Status["totals"] {
  const byClass: Record<string, number> = {};
  for (const row of counters.requests) {
    const key = codeClass(row.code);
    byClass[key] = (byClass[key] ?? 0) + row.count;
  }
  return {
    requests: sum(counters.requests),
    byClass,
    connections: counters.listeners.reduce((total, row) => total + row.accepted, 0),
    activeConnections: counters.listeners.reduce((total, row) => total + row.active, 0),
    idleUpstream: counters.idleUpstream,
    policyErrors: sum(counters.policyErrors),
    logDropped: counters.logDropped + logDropped,
    bytes: counters.bytes,
    fallbacks: counters.fallbacks,
  };
}

function sum(rows: readonly { readonly count: number }[]): number {
  return rows.reduce((total, row) => total + row.count, 0);
}
