import type { PolicyTraits } from "../policy/registry.js";
import type { Address, BackendAddress } from "./address.js";
import type { Interfaces } from "./interfaces.js";
import type { ConfigFile } from "./schema.js";

/**
 * The effective configuration: every default in place, every path absolute, deeply frozen, safe to send to a
 * worker. Times are milliseconds, sizes bytes.
 */
export interface Config {
  readonly listeners: readonly ListenerConfig[];
  /** The first that matches is used. */
  readonly routes: readonly RouteConfig[];
  readonly pools: ReadonlyMap<string, PoolConfig>;
  /** Absolute paths of users' plugins; `*` may be in the last part. */
  readonly policies: readonly string[];
  readonly admin: { readonly address: Address; readonly token?: string | undefined } | null;
  readonly timeouts: Readonly<ConfigFile["timeouts"]>;
  /** `connections`: of all clients, 0 = unlimited. `queue`: waiting requests per pool and worker. */
  readonly limits: Readonly<ConfigFile["limits"]>;
  /** `address:port` of the DNS servers; none: those of the system, and its other sources of names. */
  readonly resolver: readonly string[];
  /** Who the client is, for backends; null: X-Forwarded-* and Forwarded are ordinary headers. */
  readonly forwarded: Readonly<NonNullable<ConfigFile["forwarded"]>> | null;
  readonly workers: number;
  readonly engine: EngineSetting;
  /** The least bytes of a body that `engine: pipe` moves through a pipe. */
  readonly pipeFrom: number;
  /** The fewest and the most bytes of a body that `engine: sockmap` has the kernel hand over. */
  readonly sockmapFrom: number;
  readonly sockmapTo: number;
  /** Where the packet engine attaches. */
  readonly interfaces: Interfaces;
  /** For routes that do not say. */
  readonly forward: ForwardMode;
  readonly accessLog: ConfigFile["accessLog"];
  readonly logLevel: ConfigFile["logLevel"];
}

/** Who moves the bytes; `auto` leaves it to the planner. */
export type EngineSetting = ConfigFile["engine"];

/** What user space sees of the exchanges; `auto` leaves it to the planner. */
export type ForwardMode = ConfigFile["forward"];

/** What a request must have to take a route; every condition that is there must hold. */
export interface RouteMatch {
  /** Lower case; exact, or `*.` and a suffix. */
  readonly host?: string | undefined;
  /** A prefix if it ends in `/`; otherwise the whole path, or a prefix up to a `/`. */
  readonly path?: string | undefined;
  /** RE2 syntax, found anywhere in the path. Never together with `path`. */
  readonly pathRegex?: string | undefined;
  /** Any of these. */
  readonly method?: readonly string[] | undefined;
  /** By lower-case name, a pattern for the value: `*` is any text, and case matters. */
  readonly header: Readonly<Record<string, string>>;
}

/** A route. */
export interface RouteConfig {
  readonly match: RouteMatch;
  readonly pool: string;
  readonly forward: ForwardMode;
  /** Names as written, values with variables in braces. */
  readonly setRequestHeaders: readonly (readonly [name: string, template: string])[];
  /** Lower case. */
  readonly removeRequestHeaders: readonly string[];
  readonly setResponseHeaders: readonly (readonly [name: string, template: string])[];
  readonly removeResponseHeaders: readonly string[];
  /** What the match looks like in metrics: `*.example.com/api/`, or `*` for one that takes everything. */
  readonly label: string;
}

/** A listener. */
export interface ListenerConfig {
  readonly address: Address;
  /** Ranges of addresses (CIDR) of peers that must begin with a PROXY header. */
  readonly proxyProtocol: readonly string[];
}

/** A pool. */
export interface PoolConfig {
  readonly name: string;
  /** At least one; each narrows the candidates. Options as written, checked by the policy's schema. */
  readonly policy: readonly {
    readonly name: string;
    readonly options: unknown;
    /** Memory that its instances have in common. */
    readonly sharedBytes: number;
  }[];
  readonly traits: PolicyTraits;
  /** No address twice. None only if there are sources of others. */
  readonly backends: readonly BackendConfig[];
  readonly discover: readonly DiscoverConfig[];
  /** Null: no checks. */
  readonly health: Readonly<NonNullable<ConfigFile["pools"][string]["health"]>> | null;
  /** Null: what backends report of their load is not known. */
  readonly load: Readonly<NonNullable<ConfigFile["pools"][string]["load"]>> | null;
  /** Null: nobody watches for backends that serve worse than the others. */
  readonly outliers: Readonly<NonNullable<ConfigFile["pools"][string]["outliers"]>> | null;
  /** How long a backend that comes back gets less than its weight, 0 = not at all. */
  readonly slowStart: number;
  /** Exchanges at once per backend, 0 = unlimited. */
  readonly maxConnections: number;
  /** Of the requests at the backends so many per cent may be there for another time, and in any case `min`. */
  readonly retries: { readonly percent: number; readonly min: number };
  /** Which PROXY header backends are sent. */
  readonly proxyProtocol: "none" | "v1" | "v2";
}

/** Where backends of a pool come from that come and go. One of the first three is there. */
export interface DiscoverConfig {
  /** `name:port`, lower case. */
  readonly dns?: string | undefined;
  readonly srv?: string | undefined;
  /** Absolute path. */
  readonly file?: string | undefined;
  readonly interval: number;
  /** Of backends for which the source has none. */
  readonly weight: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** A backend of a pool. */
export interface BackendConfig {
  readonly address: BackendAddress;
  readonly weight: number;
  readonly labels: Readonly<Record<string, string>>;
}
