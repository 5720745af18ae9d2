import type { NativeHeaderEdits, NativeRoute } from "../dataplane/index.js";
import type { RouteSpec } from "./route.js";

/** What the compiler needs to know of the rest. */
export interface CompileContext {
  /** Index of a pool in the snapshot. */
  poolIndex(name: string): number;
  /** Id of a route in the counters. */
  routeId(label: string, pool: string): number;
  /** What user space sees of the route's exchanges. */
  readonly forward: NativeRoute["forward"];
}

/** Compiles a route into the form that the native matcher takes. */
export function compileRoute(route: RouteSpec, context: CompileContext): NativeRoute {
  const { match } = route;
  return {
    ...compileHost(match.host),
    ...compilePath(match.path, match.pathRegex),
    methods: match.method ?? [],
    headers: Object.entries(match.header ?? {}).map(([name, pattern]) => ({
      name: name.toLowerCase(),
      pattern,
    })),
    pool: context.poolIndex(route.pool),
    id: context.routeId(route.label, route.pool),
    label: route.label,
    forward: context.forward,
    requestHeaders: compileEdits(route.setRequestHeaders, route.removeRequestHeaders),
    responseHeaders: compileEdits(route.setResponseHeaders, route.removeResponseHeaders),
  };
}

function compileHost(host: string | undefined): Pick<NativeRoute, "hostKind" | "host"> {
  if (host === undefined || host === "*") return { hostKind: "any", host: "" };
  const lower = host.toLowerCase();
  return lower.startsWith("*.")
    ? { hostKind: "suffix", host: lower.slice(1) }
    : { hostKind: "exact", host: lower };
}

function compilePath(
  path: string | undefined,
  regex: string | undefined,
): Pick<NativeRoute, "pathKind" | "path"> {
  if (regex !== undefined) return { pathKind: "regex", path: regex };
  if (path === undefined || path === "/") return { pathKind: "any", path: "" };
  return { pathKind: path.endsWith("/") ? "prefix" : "segment", path };
}

function compileEdits(
  set: RouteSpec["setRequestHeaders"],
  remove: RouteSpec["removeRequestHeaders"],
): NativeHeaderEdits {
  return {
    set: set.map(([name, template]) => ({ name, template })),
    remove: remove.map((name) => name.toLowerCase()),
  };
}
