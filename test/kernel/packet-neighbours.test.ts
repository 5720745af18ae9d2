/** The packet engine beside others: another proxy, firewalls, other traffic, and what stays when a proxy goes. */
import { readdirSync, readlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bpfObjectsOf, existing } from "../support/bpf-objects.js";
import { childrenOf } from "../support/hooks-driver.js";
import { packetProgram } from "../support/packet-programs.js";
import { PacketProxy } from "../support/packet-proxy.js";
import { MB, PacketRun, runClient } from "../support/packet-run.js";
import { address, Topology, tcpCounters, withPort } from "../support/packet-topology.js";
import { webSocketLine } from "../support/packet-websocket.js";
import { ifThere } from "../support/process-info.js";
import { eventually } from "../support/wait.js";

/** Programs at the hooks of the proxy's interfaces, whichever way they were attached. */
function programsAt({ proxy, proxyInterfaces }: Topology): number {
  const filters = proxyInterfaces.flatMap((name) =>
    ["ingress", "egress"].map((hook) => proxy.run("tc", ["filter", "show", "dev", name, hook]).trim()),
  );
  const clsact = filters.join("\n").match(/^filter .* handle /gm)?.length ?? 0;
  return clsact + Number(proxy.run(packetProgram("hooks_count"), proxyInterfaces));
}

const expectNoPrograms = (topology: Topology) =>
  eventually("the end of all programs at the interfaces", () => programsAt(topology) === 0);

/** The network namespaces that the threads and descriptors of a process and its children are in, or hold. */
function namespacesOf(pid: number): Set<string> {
  const links = (folder: string) =>
    ifThere(() => readdirSync(folder).map((name) => `${folder}/${name}`)).flat();
  const processes = [pid, ...childrenOf(pid)];
  const paths = processes.flatMap((each) => [
    ...links(`/proc/${each}/task`).map((task) => `${task}/ns/net`),
    ...links(`/proc/${each}/fd`),
  ]);
  const targets = paths.flatMap((path) => ifThere(() => readlinkSync(path)));
  return new Set(targets.filter((target) => target.startsWith("net:")));
}

/** Expects that nothing holds them any more: no process, no interface, no pin. */
const expectGone = (objects: readonly string[]) =>
  eventually("the end of all BPF objects", () => existing(objects).length === 0);

describe("a proxy that goes", () => {
  it("leaves no program behind, whether it stops or is killed", async () => {
    const run = await PacketRun.start("routed", 4);
    await run.expectWhole([{ down: 1_000 }]);
    expect(programsAt(run.topology)).toBeGreaterThan(0);
    const objects = bpfObjectsOf(run.proxy.pid);
    expect(objects.length).toBeGreaterThan(8);
    // There is none to be left behind.
    expect(namespacesOf(run.proxy.pid).size).toBe(1);
    await run.proxy.stop();
    expect(programsAt(run.topology)).toBe(0);
    await expectGone(objects);

    const options = { listen: run.topology.listen, backends: [withPort(run.topology.backends[0]!, 9_000)] };
    const next = await PacketProxy.start(run.topology.proxy, options);
    const cut = run.fetch([{ down: 128 }, { up: 64 * MB }], { write: "100000:10000" });
    await eventually("a link", async () => (await next.counters()).activeLinks === 1);
    const held = bpfObjectsOf(next.pid);
    expect(existing(held)).toEqual(held);
    await next.crash();
    await expectNoPrograms(run.topology);
    await expectGone(held);
    // Who sends learns that nobody is there any more.
    expect((await cut).end).toBe("reset");

    // What was there before the crash is in nobody's way.
    const last = await PacketProxy.start(run.topology.proxy, options);
    const client = await run.fetch([{ down: MB }, { up: MB }]);
    expect(client).toMatchObject({ responses: 2, received: MB, wrongAt: -1, end: "fin" });
    await last.stop();
    expect(programsAt(run.topology)).toBe(0);
  });

  it("leaves no program behind when it could not start", async () => {
    const run = await PacketRun.start("routed", 4);
    const before = programsAt(run.topology);
    // The port of the admin server is taken.
    const options = { listen: "10.88.1.1:8081", backends: ["10.88.2.2:9000"] };
    await expect(PacketProxy.start(run.topology.proxy, options)).rejects.toThrow(/ended with 2/);
    expect(programsAt(run.topology)).toBe(before);
    await run.expectWhole([{ down: MB }]);
    await run.expectLinks(1);
  });

  it("and comes does not touch traffic that is not its own", async () => {
    const run = await PacketRun.start("routed", 4, { prepare: (topology) => topology.routeDirectly() });
    const direct = run.fetchDirectly([{ down: 80 * MB, write: "131072:2500" }, { up: 80 * MB }], {
      write: "131072:2500",
    });
    const options = {
      listen: withPort(address(4, 1, 1), 8_081),
      backends: [withPort(run.topology.backends[0]!, 9_000)],
      adminPort: 9_902,
    };
    for (let i = 0; i < 2; i++) {
      const other = await PacketProxy.start(run.topology.proxy, options);
      await (i === 0 ? other.stop() : other.crash());
    }
    await run.proxy.stop();
    const client = await direct;
    expect(client).toMatchObject({ received: 80 * MB, sent: 80 * MB, wrongAt: -1, end: "fin" });
    const [server] = await run.served();
    expect(server).toMatchObject({ received: 80 * MB, wrongAt: -1, end: "fin" });
    // Of 110,000 segments. A busy machine loses some in its queues, whoever else is there.
    expect(client.retransmissions + server!.retransmissions).toBeLessThan(100);
    for (const space of run.topology.spaces) expect(tcpCounters(space).get("InCsumErrors")).toBe(0);
  });
});

describe("traffic past the proxy", () => {
  it("is as fast with the programs as without them", async () => {
    const run = await PacketRun.start("routed", 4, { prepare: (topology) => topology.routeDirectly() });
    const time = async (): Promise<number> => {
      const from = performance.now();
      expect(await run.fetchDirectly([{ down: 48 * MB }])).toMatchObject({ wrongAt: -1, end: "fin" });
      return performance.now() - from;
    };
    const best = { with: Number.POSITIVE_INFINITY, without: Number.POSITIVE_INFINITY };
    const options = { listen: run.topology.listen, backends: [withPort(run.topology.backends[0]!, 9_000)] };
    let proxy = run.proxy;
    // The best of some rounds, because others use the machine as well.
    for (let round = 0; round < 16 && (round < 3 || best.with > 1.15 * best.without); round++) {
      if (round > 0) proxy = await PacketProxy.start(run.topology.proxy, options);
      for (let i = 0; i < 3; i++) best.with = Math.min(best.with, await time());
      await proxy.stop();
      expect(programsAt(run.topology)).toBe(0);
      for (let i = 0; i < 3; i++) best.without = Math.min(best.without, await time());
    }
    expect(best.with).toBeLessThan(1.15 * best.without);
  }, 300_000);
});

describe("two proxies on one host", () => {
  it.each([
    ["routed", 4],
    ["local", 6],
  ] as const)("that are %s with IPv%i do not disturb each other", async (placement, family) => {
    const run = await PacketRun.start(placement, family);
    const { topology } = run;
    const other = await PacketProxy.start(topology.proxy, {
      listen: topology.listen.replace(":8080", ":8081"),
      backends: [withPort(topology.backends[0]!, 9_000)],
      adminPort: 9_902,
    });
    const targets = [{ down: 2 * MB }, { up: 2 * MB }, { down: 128 }];
    const clients = await Promise.all(
      [8_080, 8_081].map((port) =>
        runClient(topology.client, [topology.target, port], targets, { connections: 10 }),
      ),
    );
    for (const client of clients.flat()) {
      expect(client).toMatchObject({ responses: 3, received: 2 * MB + 128, wrongAt: -1, end: "fin" });
    }
    for (const server of await run.served(20))
      expect(server).toMatchObject({ received: 2 * MB, wrongAt: -1 });
    await run.expectLinks(10);
    const counters = await other.quietCounters();
    expect(counters.links()).toBe(10);
    expect(counters.impossible).toEqual([]);
  });

  it.each([
    ["routed", "connection"],
    ["local", "connection"],
    ["local", "exchange"],
  ] as const)("work one behind the other between %s hosts, by %s", async (placement, forward) => {
    const run = await PacketRun.start(placement, 4);
    const front = await PacketProxy.start(run.topology.proxy, {
      listen: withPort(run.topology.target, 8_081),
      backends: ["127.0.0.1:8080"],
      adminPort: 9_902,
      config: { forward },
    });
    const targets = Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? { down: 4 * MB } : { up: 4 * MB }));
    const tunnel = forward === "connection" ? 1 : 0;
    let rounds = 0;
    let first = await front.quietCounters();
    // On a busy machine all of a body may have come before it could be linked.
    while (Object.keys(first.fallbacks).length === 0 && rounds < 6) {
      const [client] = await runClient(run.topology.client, [run.topology.target, 8_081], targets, {
        tunnel,
      });
      expect(client).toMatchObject({ responses: 8, received: 16 * MB, wrongAt: -1, end: "fin" });
      first = await front.quietCounters();
      rounds++;
    }
    // Only one of them splices: on lo, where they meet, there is one order for both.
    expect([first.links(), Object.keys(first.fallbacks)]).toEqual([0, ["chained"]]);
    // It keeps its connection to the other one.
    await front.stop();
    const second = await run.proxy.quietCounters();
    expect(second.links()).toBeGreaterThan(0);
    // Two processors may hand over what a backend sends in another order, before there is a record for the socket.
    const { out_of_order: _, ...others } = second.fallbacks;
    expect([others, second.impossible]).toEqual([{}, []]);
    await run.expectBackends(rounds * 8, rounds * 16 * MB);
  });
});

/** What Docker sets up, and what careful administrators do. */
const FIREWALL = `
  table inet guard {
    chain in { type filter hook input priority filter; ct state invalid counter name bad drop; }
    chain out { type filter hook output priority filter; ct state invalid counter name bad drop; }
    chain through { type filter hook forward priority filter; ct state invalid counter name bad drop; }
    counter bad { }
  }
  table inet address {
    chain leaving { type nat hook postrouting priority srcnat; oifname "backends" masquerade; }
  }`;

function withFirewall({ proxy }: Topology): void {
  proxy.run("nft", ["-f", "-"], FIREWALL);
}

describe("a firewall that tracks connections", () => {
  it.each(["routed", "local", "local-backend", "local-client"] as const)(
    "does not stop connections of %s hosts",
    async (placement) => {
      const run = await PacketRun.start(placement, 4, { prepare: withFirewall });
      await run.expectAnswered([{ down: 4 * MB }, { up: 4 * MB }, { up: MB, down: MB, seed: 3 }]);
      await run.expectAnswered([{ down: 128 }], { hold: 300 });
      const counters = await run.proxy.quietCounters();
      expect(counters.impossible).toEqual([]);
      // On lo a tracker would see halves of connections.
      if (placement === "routed") expect([counters.links(), counters.fallbacks]).toEqual([2, {}]);
      else expect([counters.links(), Object.keys(counters.fallbacks)]).toEqual([0, ["conntrack"]]);
      await run.expectBackends(4, 5 * MB);
    },
  );
});

describe("an address of a backend that this host translates", () => {
  it("is noticed at the first response, which arrives, and its connections are copied from then on", async () => {
    const translate = ({ proxy, backends }: Topology) => {
      const rule = `ip daddr 198.51.100.1 dnat to ${backends[0]}`;
      proxy.ip("route", "add", "198.51.100.0/24", "via", backends[0]!);
      const table = `table ip address { chain sent { type nat hook output priority -100; ${rule};\n }\n }`;
      proxy.run("nft", ["-f", "-"], table);
    };
    const config = { pools: { main: { backends: [{ address: "198.51.100.1:9000" }] } } };
    const run = await PacketRun.start("routed", 4, { prepare: translate, config });
    const targets = [1, 2, 3, 4, 5, 6].map((seed) => ({ down: 1_000, seed }));
    await run.expectAnswered(targets, { tunnel: 0 });
    await run.expectAnswered([...targets, { down: MB }], { tunnel: 0 });
    const counters = await run.proxy.quietCounters();
    expect(counters.impossible).toEqual([]);
    expect(Object.keys(counters.fallbacks)).toEqual(["nat"]);
    expect(counters.event("judged")).toBe(0);
    await run.expectBackends(13, 0);
  });
});

describe("a WebSocket", () => {
  it.each([
    ["routed", 4],
    ["local", 6],
  ] as const)("of %s hosts with IPv%i lives in a link", async (placement, family) => {
    const topology = await Topology.make(placement, family);
    expect(await webSocketLine(topology.backend, ["server", "9001"], 45_000)).toBe("ready");
    const proxy = await PacketProxy.start(topology.proxy, {
      listen: topology.listen,
      backends: [withPort(topology.backends[0]!, 9_001)],
    });
    const url = `ws://${withPort(topology.target, 8_080)}/chat`;
    expect(await webSocketLine(topology.client, ["client", url, "1000"], 60_000)).toBe("right");
    const counters = await proxy.quietCounters();
    expect(counters.fallbacks).toEqual({});
    expect(counters.links("finished")).toBe(1);
    expect(counters.event("spliced")).toBeGreaterThan(1_000);
    expect(counters.impossible).toEqual([]);
  });
});
