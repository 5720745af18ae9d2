/** Where client, proxy and backend are: all on loopback, or each in a network namespace of its own. */
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

const loopback: Topology = {
  name: "loopback",
  addresses: { proxy: ["127.0.0.1", "127.0.0.2"], backend: ["127.0.0.1", "127.0.0.2"] },
  at: (_place, command) => command,
  close: async () => {},
};

const namespacePattern = /^lsbench-(\d+)-\w+$/;
const ip = (...args: string[]) => runToEnd(["ip", ...args], 10);

async function deleteNamespaces(wanted: (pid: number) => boolean): Promise<void> {
  const names = (await ip("netns", "list")).split("\n").map((line) => line.split(" ")[0] ?? "");
  for (const name of names) {
    const pid = namespacePattern.exec(name)?.[1];
    if (pid !== undefined && wanted(Number(pid))) await ip("netns", "delete", name);
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

/** Settings of the namespaces only; those of the machine stay as they are. */
const settings: readonly (readonly [string, string])[] = [
  ["ip_forward", "1"], // the direct target's packets pass through the proxy's namespace
  ["ip_local_port_range", "1024 65535"],
  ["tcp_tw_reuse", "1"], // as Linux has it on loopback by default
];

async function createRouted(): Promise<Topology> {
  if (process.getuid?.() !== 0) {
    throw new Error("the topology routed makes network namespaces, for which only root has the right");
  }
  // What an earlier bench left that was killed.
  await deleteNamespaces((pid) => !existsSync(`/proc/${pid}`));
  const space = (place: Place) => `lsbench-${process.pid}-${place}`;
  const [client, proxy, backend] = [space("client"), space("proxy"), space("backend")];
  for (const name of [client, proxy, backend]) {
    await ip("netns", "add", name);
    await ip("-n", name, "link", "set", "lo", "up");
    for (const [key, value] of settings) {
      const write = `echo ${value} >/proc/sys/net/ipv4/${key}`;
      await ip("netns", "exec", name, "sh", "-c", write);
    }
  }
  await join(client, ["10.77.1.2"], proxy, ["10.77.1.1", "10.77.1.3"]);
  await join(proxy, ["10.77.2.1"], backend, ["10.77.2.2", "10.77.2.3"]);
  await ip("-n", client, "route", "add", "default", "via", "10.77.1.1");
  await ip("-n", backend, "route", "add", "default", "via", "10.77.2.1");
  return {
    name: "routed",
    addresses: { proxy: ["10.77.1.1", "10.77.1.3"], backend: ["10.77.2.2", "10.77.2.3"] },
    at: (place, command) => ["ip", "netns", "exec", space(place), ...command],
    close: () => deleteNamespaces((pid) => pid === process.pid),
  };
}

/** @throws Error if it cannot be made; then nothing of it is left */
export async function openTopology(name: TopologyName): Promise<Topology> {
  if (name === "loopback") return loopback;
  try {
    return await createRouted();
  } catch (error) {
    await removeNamespaces();
    throw error;
  }
}

/** Takes away every namespace that this process made. */
export async function removeNamespaces(): Promise<void> {
  if (process.getuid?.() === 0) await deleteNamespaces((pid) => pid === process.pid);
}
