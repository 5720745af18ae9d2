/** Where client, proxy and backend are in the packet tests: every placement that the packet engine knows. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { join, Namespace } from "./netns.js";
import { packetProgram } from "./packet-programs.js";
import { within } from "./wait.js";

export const PLACEMENTS = ["routed", "bridged", "local", "local-backend", "local-client"] as const;

/**
 * `routed`: three hosts in a row. `bridged`: two backends at a bridge of the proxy's host. `local`: everything on
 * loopback. `local-backend`: only the client is elsewhere. `local-client`: only the backend is.
 */
export type Placement = (typeof PLACEMENTS)[number];
export type Family = 4 | 6;
export const FAMILIES: readonly Family[] = [4, 6];

export interface TopologyOptions {
  /** Rules for `impair` between client and proxy; to the right is to the proxy. */
  impairClient?: readonly string[];
  /** Rules for `impair` between proxy and backend; to the right is to the backend. */
  impairBackend?: readonly string[];
  /** Puts a router between the proxy and each host that is elsewhere. */
  routers?: true;
}

/** What the impairment did in one direction. */
export interface ImpairCounts {
  relayed: number;
  lost: number;
  duplicated: number;
  reordered: number;
}

/** The host part of an address. */
const LOOPBACK = { 4: "127.0.0.1", 6: "::1" } as const;
const ANY = { 4: "0.0.0.0", 6: "::" } as const;

/** 1 is the clients', 2 the backends'; 3 and 4 are the same behind routers. */
type Network = 1 | 2 | 3 | 4;

/** The address of a host in one of the networks. */
export function address(family: Family, network: Network, host: number): string {
  return family === 4 ? `10.88.${network}.${host}` : `fd88:${network}::${host}`;
}

export const withPort = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

const both = (network: Network, host: number): string[] => [
  `${address(4, network, host)}/24`,
  `${address(6, network, host)}/64`,
];

/** A program that relays between two interfaces, and spoils what it relays. */
class Impairment {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    createInterface({ input: child.stdout! }).on("line", (line) => this.#lines.push(line));
  }

  static async start(space: Namespace, rules: readonly string[]): Promise<Impairment> {
    const impairment = new Impairment(space.start(packetProgram("impair"), ["left", "right", ...rules]));
    await within(once(impairment.#child.stdout!, "data"), 15_000, "the impairment's start");
    return impairment;
  }

  /** Ends it; the line is cut from then on. */
  async stop(): Promise<{ toRight: ImpairCounts; toLeft: ImpairCounts }> {
    const ended = once(this.#child, "close");
    this.#child.kill("SIGTERM");
    await within(ended, 15_000, "the impairment's end");
    return JSON.parse(this.#lines.at(-1)!) as { toRight: ImpairCounts; toLeft: ImpairCounts };
  }
}

/** Hosts for the running test. Those that a placement does not have apart are the proxy's. */
export class Topology {
  readonly proxy = new Namespace();
  client = this.proxy;
  backend = this.proxy;
  /** All hosts, each one once. */
  readonly spaces: Namespace[] = [this.proxy];
  /** Where the proxy listens on, where clients reach it, and where the backends are. */
  readonly listen: string;
  readonly target: string;
  backends: readonly string[] = [];
  /** Between the proxy and the clients, and the backends; towards those its interface is `far`. */
  clientRouter: Namespace | undefined;
  backendRouter: Namespace | undefined;
  clientImpairment: Impairment | undefined;
  backendImpairment: Impairment | undefined;

  private constructor(
    readonly placement: Placement,
    readonly family: Family,
  ) {
    this.listen = withPort(ANY[family], 8080);
    const isRemote = placement === "routed" || placement === "bridged" || placement === "local-backend";
    this.target = isRemote ? address(family, 1, 1) : LOOPBACK[family];
  }

  static async make(placement: Placement, family: Family, options: TopologyOptions = {}): Promise<Topology> {
    const topology = new Topology(placement, family);
    await topology.#placeClient(options);
    await topology.#placeBackend(options);
    return topology;
  }

  /** Lets the client reach the backend past the proxy, through the proxy's host. */
  routeDirectly(): void {
    letForward(this.proxy);
    for (const [space, network] of [
      [this.client, 1],
      [this.backend, 2],
    ] as const) {
      space.ip("route", "add", "default", "via", address(4, network, 1));
      space.ip("-6", "route", "add", "default", "via", address(6, network, 1));
    }
  }

  /** The interfaces of the proxy's host. */
  get proxyInterfaces(): string[] {
    const listed = JSON.parse(this.proxy.run("ip", ["-json", "link", "show"])) as { ifname: string }[];
    return listed.map(({ ifname }) => ifname);
  }

  async #placeClient(options: TopologyOptions): Promise<void> {
    if (this.placement === "local" || this.placement === "local-client") return;
    this.client = this.#space();
    if (options.routers) this.clientRouter = this.#addRouter(this.client, "clients", 1);
    else await this.#addClient(options.impairClient);
  }

  async #placeBackend(options: TopologyOptions): Promise<void> {
    if (this.placement === "bridged") return this.#addBridge();
    this.backends = [LOOPBACK[this.family]];
    if (this.placement === "local" || this.placement === "local-backend") return;
    this.backend = this.#space();
    this.backends = [address(this.family, options.routers ? 4 : 2, 2)];
    if (options.routers) this.backendRouter = this.#addRouter(this.backend, "backends", 2);
    else await this.#addBackend(options.impairBackend);
  }

  #addRouter(host: Namespace, name: string, near: 1 | 2): Namespace {
    const router = this.#space();
    const far = near === 1 ? 3 : 4;
    letForward(router);
    // It asks for its neighbours from link-local addresses, which otherwise are of no use for the first seconds.
    setSysctl(router, "net/ipv6/conf/default/accept_dad", 0);
    join(
      { in: this.proxy, name, addresses: both(near, 1) },
      { in: router, name: "near", addresses: both(near, 9) },
    );
    join(
      { in: router, name: "far", addresses: both(far, 9) },
      { in: host, name: "uplink", addresses: both(far, 2) },
    );
    for (const family of FAMILIES) {
      const network = family === 4 ? `${address(4, far, 0)}/24` : `${address(6, far, 0)}/64`;
      host.ip(`-${family}`, "route", "add", "default", "via", address(family, far, 9));
      this.proxy.ip(`-${family}`, "route", "add", network, "via", address(family, near, 9));
    }
    return router;
  }

  async #addClient(rules: readonly string[] | undefined): Promise<void> {
    const ends = [
      { in: this.client, name: "uplink", addresses: both(1, 2) },
      { in: this.proxy, name: "clients", addresses: both(1, 1) },
    ] as const;
    if (rules === undefined) join(...ends);
    else this.clientImpairment = await this.#impair(ends, rules);
  }

  async #addBackend(rules: readonly string[] | undefined): Promise<void> {
    const ends = [
      { in: this.proxy, name: "backends", addresses: both(2, 1) },
      { in: this.backend, name: "uplink", addresses: both(2, 2) },
    ] as const;
    if (rules === undefined) join(...ends);
    else this.backendImpairment = await this.#impair(ends, rules);
  }

  #addBridge(): void {
    this.proxy.ip("link", "add", "bridge", "type", "bridge");
    for (const host of [2, 3]) {
      const space = this.#space();
      if (host === 2) this.backend = space;
      join(
        { in: this.proxy, name: `port${host}`, addresses: [] },
        { in: space, name: "uplink", addresses: both(2, host) },
      );
      this.proxy.ip("link", "set", `port${host}`, "master", "bridge");
    }
    for (const own of both(2, 1)) {
      this.proxy.ip("address", "add", own, "dev", "bridge", ...(own.includes(":") ? ["nodad"] : []));
    }
    this.proxy.ip("link", "set", "bridge", "up");
    this.backends = [address(this.family, 2, 2), address(this.family, 2, 3)];
  }

  async #impair(
    [left, right]: readonly [Parameters<typeof join>[0], Parameters<typeof join>[1]],
    rules: readonly string[],
  ): Promise<Impairment> {
    const middle = this.#space();
    // It must not speak for itself, or neighbours would learn its addresses.
    setSysctl(middle, "net/ipv6/conf/default/disable_ipv6", 1);
    join(left, { in: middle, name: "left", addresses: [] });
    join({ in: middle, name: "right", addresses: [] }, right);
    return Impairment.start(middle, rules);
  }

  #space(): Namespace {
    const space = new Namespace();
    this.spaces.push(space);
    return space;
  }
}

/** Sets a value below /proc/sys that belongs to the namespace. */
export function setSysctl(space: Namespace, path: string, value: number | string): void {
  space.run("tee", [`/proc/sys/${path}`], String(value));
}

function letForward(space: Namespace): void {
  for (const setting of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]) {
    setSysctl(space, `net/${setting}`, 1);
  }
}

/** The counters of the TCP stack of a host, by the names of /proc/net/snmp and /proc/net/netstat. */
export function tcpCounters(space: Namespace): ReadonlyMap<string, number> {
  const counters = new Map<string, number>();
  const lines = space.run("cat", ["/proc/net/snmp", "/proc/net/netstat"]).split("\n");
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const names = lines[at]!.split(" ");
    const values = lines[at + 1]!.split(" ");
    if (names[0] !== "Tcp:" && names[0] !== "TcpExt:") continue;
    for (const [index, name] of names.entries()) counters.set(name, Number(values[index]));
  }
  return counters;
}
