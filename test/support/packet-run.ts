/** A whole set-up of the packet tests: hosts, backends, the proxy, and clients that say what they saw. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, onTestFinished } from "vitest";
import type { Namespace } from "./netns.js";
import { packetProgram } from "./packet-programs.js";
import { type PacketCounters, PacketProxy } from "./packet-proxy.js";
import { type Family, type Placement, Topology, type TopologyOptions, withPort } from "./packet-topology.js";
import { eventually, within } from "./wait.js";

/** How the other side ended a connection, or `complete` if this side ended it with RST. */
type End = "complete" | "fin" | "reset" | "timeout" | "failed";

export interface ServerReport {
  requests: number;
  received: number;
  sent: number;
  /** Place of the first wrong byte, -1 if all are right. */
  wrongAt: number;
  end: End;
  retransmissions: number;
  /** Sequence numbers of this side's first bytes, and of the other's. */
  began: { sent: number; received: number };
}

export interface ClientReport extends Omit<ServerReport, "requests"> {
  responses: number;
  /** What the client may send in one segment. */
  segment: number;
}

/** What one request is to do; the names are those of `Exchange` in test/kernel/native/peer.h. */
export interface Target {
  up?: number;
  down?: number;
  seed?: number;
  early?: true;
  close?: true;
  delay?: number;
  reset?: number;
  abort?: number;
  read?: string;
  write?: string;
}

/** Options of `peer_client`, without their dashes. */
export type ClientOptions = Readonly<Record<string, string | number>>;

export interface RunOptions extends TopologyOptions {
  /** Options of `peer_server`. */
  server?: ClientOptions;
  /** Top-level keys of the proxy's configuration file. */
  config?: Record<string, unknown>;
  /** Clients make their requests outright, instead of within a tunnel. */
  plain?: true;
  /** Instead of the address that fits the family. */
  listen?: string;
  /** Runs when the hosts are there, before anything is started on them. */
  prepare?: (topology: Topology) => void;
}

export const MB = 1024 * 1024;
const BACKEND_PORT = 9000;

const flags = (options: ClientOptions): string[] =>
  Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);

function path(target: Target): string {
  const parts = Object.entries(target).map(([name, value]) => (value === true ? name : `${name}=${value}`));
  return `/?${parts.join("&")}`;
}

/** A backend; its reports come in the order in which connections ended. */
export class PeerServer {
  readonly reports: ServerReport[] = [];

  private constructor(child: ChildProcess, onReady: () => void) {
    createInterface({ input: child.stdout! }).on("line", (line) => {
      if (line === "ready") onReady();
      else this.reports.push(JSON.parse(line) as ServerReport);
    });
  }

  /** On all addresses of that host. */
  static start(space: Namespace, options: ClientOptions = {}): Promise<PeerServer> {
    const child = space.start(packetProgram("peer_server"), ["::", String(BACKEND_PORT), ...flags(options)]);
    return within(
      new Promise<PeerServer>((resolve, reject) => {
        child.once("close", () => reject(new Error("the backend ended")));
        const made: PeerServer = new PeerServer(child, () => resolve(made));
      }),
      15_000,
      "the backend's start",
    );
  }
}

/** Runs a client to its end; one report for each connection. */
export async function runClient(
  space: Namespace,
  [host, port]: readonly [string, number],
  targets: readonly Target[],
  options: ClientOptions = {},
): Promise<ClientReport[]> {
  const args = [host, String(port), ...flags(options), ...targets.map(path)];
  const command = ["netns", "exec", space.name, packetProgram("peer_client"), ...args];
  const child = spawn("ip", command, { stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  let [output, errors] = ["", ""];
  child.stdout.on("data", (text: Buffer) => (output += text.toString()));
  child.stderr.on("data", (text: Buffer) => (errors += text.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`the client exited with ${code}: ${errors}`);
  const lines = output.trim().split("\n");
  return lines.map((line) => JSON.parse(line) as ClientReport);
}

/** Everything for one test, gone when it ends. */
export class PacketRun {
  private constructor(
    readonly topology: Topology,
    readonly proxy: PacketProxy,
    readonly servers: readonly PeerServer[],
    readonly plain: boolean,
  ) {}

  static async start(placement: Placement, family: Family, options: RunOptions = {}): Promise<PacketRun> {
    const topology = await Topology.make(placement, family, options);
    options.prepare?.(topology);
    const servers = [await PeerServer.start(topology.backend, options.server)];
    if (topology.backends.length > 1) servers.push(await PeerServer.start(topology.spaces.at(-1)!));
    const proxy = await PacketProxy.start(topology.proxy, {
      listen: options.listen ?? topology.listen,
      backends: topology.backends.map((host) => withPort(host, BACKEND_PORT)),
      config: options.config ?? {},
    });
    return new PacketRun(topology, proxy, servers, options.plain ?? false);
  }

  /** Connections through the proxy with these requests. */
  fetchAll(targets: readonly Target[], options: ClientOptions = {}): Promise<ClientReport[]> {
    const all = this.plain ? { tunnel: 0, ...options } : options;
    return runClient(this.topology.client, [this.topology.target, 8080], targets, all);
  }

  /** One connection through the proxy with these requests. */
  async fetch(targets: readonly Target[], options: ClientOptions = {}): Promise<ClientReport> {
    return (await this.fetchAll(targets, options))[0]!;
  }

  /** One connection past the proxy; the topology must route it. */
  async fetchDirectly(targets: readonly Target[], options: ClientOptions = {}): Promise<ClientReport> {
    const { client, backends } = this.topology;
    return (await runClient(client, [backends[0]!, BACKEND_PORT], targets, options))[0]!;
  }

  /** What the backends reported of so many connections; forgets them. */
  async served(count = 1): Promise<ServerReport[]> {
    const all = () => this.servers.flatMap(({ reports }) => reports);
    await eventually(`${count} reports of backends`, () => all().length >= count, 20_000);
    const reports = all();
    expect(reports).toHaveLength(count);
    for (const server of this.servers) server.reports.length = 0;
    return reports;
  }

  /** Fetches on one connection, and expects every byte to arrive unchanged and both ends to part in peace. */
  async expectWhole(targets: readonly Target[], options: ClientOptions = {}): Promise<ClientReport> {
    const [up, down] = [sum(targets, "up"), sum(targets, "down")];
    const client = await this.fetch(targets, options);
    expect(client).toMatchObject({ responses: targets.length, received: down, wrongAt: -1, end: "fin" });
    const [server] = await this.served();
    expect(server).toMatchObject({ requests: targets.length, received: up, wrongAt: -1, end: "fin" });
    return client;
  }

  /** Fetches on one connection that may be spliced or not; `expectBackends` says what the backends thought of it. */
  async expectAnswered(targets: readonly Target[], options: ClientOptions = {}): Promise<void> {
    const client = await this.fetch(targets, options);
    const down = sum(targets, "down");
    expect(client).toMatchObject({ responses: targets.length, received: down, wrongAt: -1, end: "fin" });
  }

  /** Stops the proxy, which ends the connections that it keeps, and expects all backends to have got this together. */
  async expectBackends(requests: number, received: number): Promise<void> {
    await this.proxy.stop();
    const reports = () => this.servers.flatMap((server) => server.reports);
    const total = (name: "requests" | "received") => reports().reduce((all, each) => all + each[name], 0);
    await eventually(`${requests} requests at the backends`, () => total("requests") >= requests);
    expect([total("requests"), total("received")]).toEqual([requests, received]);
    for (const { wrongAt } of reports()) expect(wrongAt).toBe(-1);
  }

  /** The counters when all links have ended. That many ended, none was refused, and nothing impossible happened. */
  async expectLinks(links: number): Promise<PacketCounters> {
    const counters = await eventually(`the end of ${links} links`, async () => {
      const now = await this.proxy.quietCounters();
      return now.links() >= links || Object.keys(now.fallbacks).length > 0 ? now : undefined;
    });
    expect(counters.fallbacks).toEqual({});
    expect(counters.links()).toBe(links);
    expect(counters.impossible).toEqual([]);
    return counters;
  }
}

const sum = (targets: readonly Target[], name: "up" | "down"): number =>
  targets.reduce((total, target) => total + (target[name] ?? 0), 0);
