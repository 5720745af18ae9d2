/**
 * The soak of the packet engine: 160,000 connections of every fate through links, and beside them a WebSocket that stays.
 *
 * What a connection could leave behind is counted afterwards, and must be nothing: records, entries of the map of addresses,
 * descriptors, sockets of either kind in the namespace. None of these is read off a trend, so a million connections leave
 * nothing either, unless it takes a fate that is not here. Memory is a trend: {@link PART} connections, when all tables have
 * their full size, may add {@link GROWTH_BYTES}, 24 bytes for each, which is less than the smallest piece that malloc gives.
 */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, it, vi } from "vitest";
import { publishedRecords } from "../support/bpf-objects.js";
import type { Namespace } from "../support/netns.js";
import { packetProgram } from "../support/packet-programs.js";
import { type PacketCounters, PacketProxy } from "../support/packet-proxy.js";
import { setSysctl, Topology, withPort } from "../support/packet-topology.js";
import { webSocketLine } from "../support/packet-websocket.js";
import { eventually, within } from "../support/wait.js";
import { atRest, type Held, NODE_OPTIONS, usualGrowth } from "./at-rest.js";

vi.stubEnv("NODE_OPTIONS", NODE_OPTIONS);

/** More links than there are records for, so that all have been used and the oldest give way. */
const WARM_UP = 70_000;
/** Three times; see {@link usualGrowth}. */
const PART = 30_000;
const TOTAL = WARM_UP + 3 * PART;
const AT_ONCE = 96;
/** Connections that both ends forget. */
const IDLE = 200;
const GROWTH_BYTES = 24 * PART;

/** Local ports that the proxy has for its backend: each has to serve a dozen connections. */
const PORTS = "20000 27999";

/** That long records outlive their link. */
const LINGER_S = 60;

const ENDS = ["client-fin", "server-fin", "both-fin", "half-close", "client-rst", "client-rst-in-response"];
const MORE_ENDS = ["server-rst", "server-rst-early", "server-rst-in-request"];
/** Of {@link AT_ANY_TIME} some come before the link, are copied, and their ports wait out TIME_WAIT: so it is rarer. */
const AT_ANY_TIME = "client-rst-any-time";
const FATES = [...ENDS, ...MORE_ENDS, ...ENDS, ...MORE_ENDS, AT_ANY_TIME];
/** Fates that end with FIN from both sides. */
const PEACEFUL = ["client-fin", "server-fin", "both-fin", "half-close"];

/** What becomes of clients whose requests are judged one by one, and of those that make others in between. */
const JUDGED = [
  "judged-series",
  "judged-post",
  "judged-elsewhere",
  "judged-chunked",
  "judged-long",
  "judged-tunnel",
  "judged-fin-waiting",
  "judged-rst",
  "judged-rst-waiting",
  "judged-rst-in-response",
  "judged-rst-any-time",
  "judged-server-fin",
  "judged-server-fin-early",
  "judged-server-fin-in-response",
  "judged-server-rst",
  "judged-server-rst-early",
  "judged-server-rst-in-response",
];
const JUDGED_PART = 200 * JUDGED.length;

/** Runs a `churn_client` to its end, which fails when a connection does not end as its fate says. */
async function churn({ client, target }: Topology, total: number, atOnce: number, fates: readonly string[]) {
  const args = [target, "8080", String(total), String(atOnce), ...fates];
  const child = client.start(packetProgram("churn_client"), args);
  let output = "";
  child.stdout!.on("data", (text: Buffer) => (output += text.toString()));
  await once(child, "close");
  expect(JSON.parse(output)).toEqual({ done: total, wrong: 0 });
}

interface ServerCounts {
  accepted: number;
  requests: number;
  fin: number;
  reset: number;
  open: number;
}

/** Starts `churn_server`. */
async function startServer({ backend, backends }: Topology) {
  const child = backend.start(packetProgram("churn_server"), [backends[0]!, "9000"]);
  const lines = createInterface({ input: child.stdout! });
  await within(once(lines, "line"), 30_000, "the server's start");
  return {
    /** Closes all connections. */
    disconnect: () => void child.kill("SIGUSR1"),
    /** Ends it; it tells what it saw. */
    stop: async () => {
      const last = once(lines, "line");
      child.kill("SIGTERM");
      return JSON.parse((await within(last, 30_000, "the server's end"))[0]) as ServerCounts;
    },
  };
}

type Server = Awaited<ReturnType<typeof startServer>>;

/** All TCP sockets to the backend in a namespace, each by its state. */
function socketsToBackend(space: Namespace): string[] {
  const lines = space.run("ss", ["-Htan", "dport = :9000 or sport = :8080"]).split("\n");
  return lines.map((line) => line.split(/\s/)[0]!).filter((state) => state !== "" && state !== "LISTEN");
}

/** When nothing is under way any more: what the proxy holds. */
async function held(proxy: PacketProxy, server: Server): Promise<Held & { counters: PacketCounters }> {
  await eventually("the end of all links", async () => (await proxy.counters()).activeLinks === 0, 60_000);
  // What was copied left connections to the backend, which wait for more until they are too old.
  server.disconnect();
  const counters = await eventually("the end of all connections", async () => {
    const now = await proxy.counters();
    return now.activeConnections === 0 && now.backendConnections === 0 ? now : undefined;
  });
  return { counters, ...(await atRest(proxy.pid)) };
}

const room = (counters: PacketCounters) => counters.records("free") + counters.records("ended");

/** How many of the first connections end with FIN. */
const peaceful = (total: number): number =>
  Array.from({ length: total }, (_, i) => FATES[i % FATES.length]!).filter((fate) => PEACEFUL.includes(fate))
    .length;

async function soak(topology: Topology): Promise<void> {
  const server = await startServer(topology);
  const proxy = await PacketProxy.start(topology.proxy, {
    listen: topology.listen,
    backends: [withPort(topology.backends[0]!, 9_000)],
    config: { timeouts: { stream: "4s", drain: "1s" } },
  });
  const { counters: fresh } = await held(proxy, server);
  expect(fresh.records("ended")).toBe(0);
  const idle = churn(topology, IDLE, IDLE, ["idle"]);
  await churn(topology, WARM_UP, AT_ONCE, FATES);
  await idle;
  const before = await held(proxy, server);
  const behind: Awaited<ReturnType<typeof held>>[] = [];
  for (let part = 0; part < 3; part++) {
    await churn(topology, PART, AT_ONCE, FATES);
    behind.push(await held(proxy, server));
  }

  const { counters } = behind.at(-1)!;
  const { half_closed: halfClosed = 0, ...others } = counters.fallbacks;
  expect(others).toEqual({});
  expect(counters.impossible).toEqual([]);
  expect(counters.links("idle")).toBe(IDLE);
  // Only who aborts in the first moments is not linked.
  expect(TOTAL + IDLE - counters.links()).toBeLessThanOrEqual(Math.ceil(TOTAL / FATES.length));
  expect(room(counters)).toBe(room(fresh));
  expect(publishedRecords(proxy.pid)).toBeLessThanOrEqual(counters.records("ended"));
  expect(behind.map(({ fds }) => fds)).toEqual(Array(3).fill(before.fds));
  expect(usualGrowth([before, ...behind])).toBeLessThan(GROWTH_BYTES);

  const sockets = socketsToBackend(topology.proxy);
  expect(sockets.filter((state) => state !== "TIME-WAIT")).toEqual([]);
  // A link leaves no TIME_WAIT.
  expect(sockets.length).toBeLessThanOrEqual(TOTAL + IDLE - counters.links());
  const seen = await server.stop();
  expect(seen.open).toBe(0);
  // A FIN that comes in the moment in which its link is made takes it back: then that connection is copied.
  const copied = peaceful(WARM_UP) + 3 * peaceful(PART) - counters.event("finished");
  expect(copied).toBeGreaterThanOrEqual(0);
  expect(copied).toBeLessThanOrEqual(Math.min(20, halfClosed));
  // A RST behind both FIN may come before the proxy has heard of them.
  expect(counters.event("finished") - counters.links("finished")).toBeLessThanOrEqual(50);
  await proxy.stop();
}

/** A proxy beside, whose links end all at once, but for a WebSocket's. Its `timeouts.stream` is far shorter than it stays. */
async function stay(topology: Topology): Promise<void> {
  expect(await webSocketLine(topology.backend, ["server", "9001"], 45_000)).toBe("ready");
  const proxy = await PacketProxy.start(topology.proxy, {
    listen: topology.listen.replace(":8080", ":8081"),
    backends: [withPort(topology.backends[0]!, 9_001)],
    adminPort: 9_902,
    config: { timeouts: { stream: "4s", drain: "1s" } },
  });
  const all = room(await proxy.counters());
  const url = `ws://${withPort(topology.target, 8_081)}/`;
  expect(await webSocketLine(topology.client, ["client", url, "10"], 45_000)).toBe("right");
  const once = await proxy.quietCounters();
  expect([once.links("finished"), once.records("free"), room(once)]).toEqual([1, all - 2, all]);
  expect(await webSocketLine(topology.client, ["stay", url, String(LINGER_S + 2)], 100_000)).toBe("right");
  const counters = await proxy.quietCounters();
  expect([counters.links("finished"), counters.links(), counters.fallbacks]).toEqual([2, 2, {}]);
  // The first one's were given back meanwhile.
  const records = async () => {
    const now = await proxy.counters();
    return [now.records("free"), now.records("ended")];
  };
  await expect.poll(records).toEqual([all - 2, 2]);
  await proxy.stop();
}

it("160,000 spliced connections leave nothing behind, while a WebSocket stays for a minute", async () => {
  const topology = await Topology.make("routed", 4);
  // The client ends many of them, and has fewer ports than there are connections.
  setSysctl(topology.client, "net/ipv4/tcp_tw_reuse", 1);
  setSysctl(topology.proxy, "net/ipv4/ip_local_port_range", PORTS);
  await Promise.all([soak(topology), stay(topology)]);
}, 480_000);

it("connections whose requests are judged one by one leave nothing behind", async () => {
  const topology = await Topology.make("routed", 4);
  setSysctl(topology.client, "net/ipv4/tcp_tw_reuse", 1);
  setSysctl(topology.proxy, "net/ipv4/tcp_tw_reuse", 1);
  const server = await startServer(topology);
  const pool = { backends: [{ address: withPort(topology.backends[0]!, 9_000) }] };
  const proxy = await PacketProxy.start(topology.proxy, {
    listen: topology.listen,
    backends: [],
    config: {
      timeouts: { stream: "4s", idle: "1s", drain: "1s" },
      routes: [
        { match: { path: "/1001/" }, pool: "elsewhere" },
        { match: {}, pool: "main" },
      ],
      pools: { main: pool, elsewhere: pool },
    },
  });
  const fresh = await proxy.counters();
  const judgedBefore = fresh.event("judged");
  await churn(topology, JUDGED_PART, AT_ONCE, JUDGED);
  const before = await held(proxy, server);
  await churn(topology, JUDGED_PART, AT_ONCE, JUDGED);
  const { counters, fds } = await held(proxy, server);
  expect(counters.impossible).toEqual([]);
  expect(counters.event("judged") - judgedBefore).toBeGreaterThan(JUDGED_PART);
  expect(counters.event("lost_requests")).toBe(0);
  expect(room(counters)).toBe(room(fresh));
  expect(publishedRecords(proxy.pid)).toBeLessThanOrEqual(counters.records("ended"));
  expect(fds).toBe(before.fds);
  const sockets = socketsToBackend(topology.proxy);
  expect(sockets.filter((state) => state !== "TIME-WAIT")).toEqual([]);
  expect((await server.stop()).open).toBe(0);
  await proxy.stop();
}, 240_000);
