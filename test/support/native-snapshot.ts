import type { loadAddon, NativeRoute } from "../../src/dataplane/index.js";
import { compileRoute, type RouteSpec } from "../../src/routing/index.js";

/** What a worker is given. */
type Snapshot = Parameters<ReturnType<typeof loadAddon>["matchRoute"]>[0];
type Pool = Snapshot["pools"][number];

/** A snapshot with routes and pools, and nothing that would end an exchange of a test early. */
export function nativeSnapshot(routes: readonly NativeRoute[] = [], pools: readonly Pool[] = []): Snapshot {
  return {
    routes: [...routes],
    pools: [...pools],
    timeouts: {
      header: 60_000,
      connect: 60_000,
      queue: 60_000,
      response: 60_000,
      idle: 60_000,
      stream: 60_000,
    },
    limits: { headerBytes: 16384, headers: 100, connections: 0, queue: 1 },
    forwarding: {
      active: false,
      trusted: [],
      xForwardedFor: false,
      xForwardedProto: false,
      xForwardedHost: false,
      forwarded: false,
    },
    accessLog: "off",
    generation: 1,
  };
}

/** A pool without a backend. */
export const nativePool = (name: string, choosesBy: Pool["choosesBy"] = "load"): Pool => ({
  name,
  policy: 0,
  neededHeaders: [],
  neededResponseHeaders: null,
  wantsDone: false,
  choosesBy,
  proxyProtocol: "none",
  retries: { slot: 0, percent: 20, min: 3 },
  backends: [],
});

/** A route that is known by its place among the others. */
export const nativeRoute = (
  index: number,
  match: RouteSpec["match"],
  how: {
    forward?: NativeRoute["forward"];
    pool?: number;
    fields?: Partial<Pick<RouteSpec, "setRequestHeaders" | "removeRequestHeaders">>;
  } = {},
): NativeRoute =>
  compileRoute(
    {
      match,
      pool: "p",
      label: String(index),
      setRequestHeaders: [],
      removeRequestHeaders: [],
      setResponseHeaders: [],
      removeResponseHeaders: [],
      ...how.fields,
    },
    { poolIndex: () => how.pool ?? 0, routeId: () => index, forward: how.forward ?? "exchange" },
  );
