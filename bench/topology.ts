/** Where client, proxy and backend are: all on one loopback, or each in a network namespace of its own. */
import { existsSync } from "node:fs";
import { type CommandLine, runToEnd } from "./processes.js";

export type TopologyName = "loopback" | "routed";
export type Place = "client" | "proxy" | "backend";

export interface Topology {
  readonly name: TopologyName;
  /**
   * Addresses to listen on. There are two for each place: with a connection for each request a pair of addresses has
   * only as many connections per second as it has ports, see docs/benchmarking.md.
   */
  readonly addresses: Readonly<Record<"proxy" | "backend", readonly [string, string]>>;
  /** The command that runs the given one at a place. It keeps its process id. */
  at(place: Place, command: CommandLine): CommandLine;
  close(): Promise<void>;
}

const loopbackAddresses = {
  proxy: ["127.0.0.1", "127.0.0.2"],
  backend: ["127.0.0.1", "127.0.0.2"],
} as const;

/** The machine's own. */
export const hostLoopback: Topology = {
  name: "loopback",
  addresses: loopbackAddresses,
  at: (_place, command) => command,
  close: async () => {},
};

const namespacePattern = /^lsbench-(\d+)-\w+$/;
const ip = (...args: string[]) => runToEnd(["ip", ...args], 10);

/** Whose process made a namespace; undefined for those that no bench made. */
const pidOf = (name: string): string | undefined => namespacePattern.exec(name)?.[1];

/** Deletes those of the namespaces of benches that are wanted away. */
async function deleteNamespaces(wanted: (name: string) => boolean): Promise<void> {
  const names = (await ip("netns", "list")).split("\n").map((line) => line.split(" ")[0] ?? "");
  for (const name of names) {
    if (pidOf(name) !== undefined && wanted(name)) await ip("netns", "delete", name);
  }
}

/** Joins two namespaces by a veth pair; its ends have the addresses given, the first of each with the prefix. */
async function join(a: string, addressesA: readonly string[], b: string, addressesB: readonly string[]) {
  const [nameA, nameB] = [`to-${b.split("-").at(-1)}`, `to-${a.split("-").at(-1)}`];
  await ip("-n", a, "link", "add", nameA, "type", "veth", "peer", "name", nameB, "netns", b);
  for (const [space, name, addresses] of [
    [a, nameA, addressesA],
    [b, nameB, addressesB],
  ] as const) {
    for (const address of addresses) await ip("-n", space, "address", "add", `${address}/24`, "dev", name);
    await ip("-n", space, "link", "set", name, "up");
  }
}

/** Settings of the routed namespaces only; those of the machine stay as they are. */
const settings: readonly (readonly [string, string])[] = [
  ["ip_forward", "1"], // the direct target's packets pass through the proxy's namespace
  ["ip_local_port_range", "1024 65535"],
  ["tcp_tw_reuse", "1"], // as Linux has it on loopback by default
];

let made = 0;

/** Makes namespaces with those names, preceded by what tells them from those of other topologies. */
async function createNamespaces(...names: readonly string[]): Promise<string[]> {
  // What an earlier bench left that was killed.
  await deleteNamespaces((name) => !existsSync(`/proc/${pidOf(name)}`));
  const number = ++made;
  const spaces = names.map((name) => `lsbench-${process.pid}-${number}${name}`);
  for (const space of spaces) {
    await ip("netns", "add", space);
    await ip("-n", space, "link", "set", "lo", "up");
  }
  return spaces;
}

const inside = (space: string, command: CommandLine): CommandLine => [
  "ip",
  "netns",
  "exec",
  space,
  ...command,
];

/** A loopback of its own, so that what is attached to it meets nobody else's packets, and nobody else's meets ours. */
async function createLoopback(): Promise<Topology> {
  const [space = ""] = await createNamespaces("loopback");
  return {
    name: "loopback",
    addresses: loopbackAddresses,
    at: (_place, command) => inside(space, command),
    close: () => deleteNamespaces((name) => name === space),
  };
}

async function createRouted(): Promise<Topology> {
  const spaces = await createNamespaces("client", "proxy", "backend");
  const [client = "", proxy = "", backend = ""] = spaces;
  for (const space of spaces) {
    for (const [key, value] of settings) {
      const write = `echo ${value} >/proc/sys/net/ipv4/${key}`;
      await ip("netns", "exec", space, "sh", "-c", write);
    }
  }
  await join(client, ["10.77.1.2"], proxy, ["10.77.1.1", "10.77.1.3"]);
  await join(proxy, ["10.77.2.1"], backend, ["10.77.2.2", "10.77.2.3"]);
  await ip("-n", client, "route", "add", "default", "via", "10.77.1.1");
  await ip("-n", backend, "route", "add", "default", "via", "10.77.2.1");
  const places = { client, proxy, backend };
  return {
    name: "routed",
    addresses: { proxy: ["10.77.1.1", "10.77.1.3"], backend: ["10.77.2.2", "10.77.2.3"] },
    at: (place, command) => inside(places[place], command),
    close: () => deleteNamespaces((name) => spaces.includes(name)),
  };
}

/**
 * Makes a topology that shares no network interface with any other. Without root `loopback` is the machine's own.
 *
 * @throws Error if it cannot be made; what there is of it then goes with `removeNamespaces`
 */
export async function openTopology(name: TopologyName): Promise<Topology> {
  const isRoot = process.getuid?.() === 0;
  if (name === "loopback") return isRoot ? createLoopback() : hostLoopback;
  if (!isRoot) {
    throw new Error("the topology routed makes network namespaces, for which only root has the right");
  }
  return createRouted();
}

/** Takes away every namespace that this process made. */
export async function removeNamespaces(): Promise<void> {
  if (process.getuid?.() === 0) await deleteNamespaces((name) => pidOf(name) === `${process.pid}`);
}
