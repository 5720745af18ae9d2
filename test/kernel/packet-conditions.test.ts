/** What two ends of a link may disagree on, and what they must not: then the copy engine serves them. */
import { describe, expect, it } from "vitest";
import { type ClientOptions, MB, PacketRun, type Target } from "../support/packet-run.js";
import { setSysctl, type Topology, withPort } from "../support/packet-topology.js";

/** Settings of net.ipv4 of one host, which IPv6 goes by as well. */
type Settings = Readonly<Record<string, number | string>>;

interface Case {
  name: string;
  on?: { client?: Settings; backend?: Settings };
  options?: ClientOptions;
  targets?: readonly Target[];
}

const BOTH_WAYS: readonly Target[] = [{ down: 2 * MB }, { up: 2 * MB, seed: 2 }];

const CARRIED: readonly Case[] = [
  { name: "a slow client", options: { read: "32768:3000" } },
  { name: "a slow backend", targets: [{ up: 4 * MB, down: 128, read: "65536:10000" }] },
  { name: "a client that writes slowly", options: { write: "50000:5000" } },
  { name: "a backend that writes slowly", targets: [{ down: MB, write: "3000:1000" }] },
  {
    name: "a slow client with a tiny window",
    options: { rcvbuf: 4_096, read: "4096:200" },
    targets: [{ down: MB }],
  },
  { name: "a client with a clamped window", options: { clamp: 8_192 } },
  { name: "a client with a huge window", on: { client: { tcp_rmem: "4096 16777216 67108864" } } },
  { name: "a backend with a huge window", on: { backend: { tcp_rmem: "4096 16777216 67108864" } } },
  { name: "a client with a small window scale", on: { client: { tcp_rmem: "4096 16384 32768" } } },
  { name: "a client without window scaling", on: { client: { tcp_window_scaling: 0 } } },
  { name: "a backend without window scaling", on: { backend: { tcp_window_scaling: 0 } } },
  {
    name: "no timestamps on either side",
    on: { client: { tcp_timestamps: 0 }, backend: { tcp_timestamps: 0 } },
  },
  { name: "no SACK on either side", on: { client: { tcp_sack: 0 }, backend: { tcp_sack: 0 } } },
  { name: "a sequence number that wraps in the head", options: { isn: 2 ** 32 - 40 } },
  { name: "a sequence number that wraps behind the head", options: { isn: 2 ** 32 - 200_000 } },
  { name: "a sequence number that changes its sign", options: { isn: 2 ** 31 - 40 } },
  { name: "a sequence number that wraps in the first bytes of the link", options: { isn: 2 ** 32 - 100 } },
  { name: "the last port", options: { "bind-port": 65_535 } },
];

const REFUSED: readonly (Case & { reason: string })[] = [
  { name: "timestamps at the backend only", on: { client: { tcp_timestamps: 0 } }, reason: "timestamps" },
  { name: "timestamps at the client only", on: { backend: { tcp_timestamps: 0 } }, reason: "timestamps" },
  { name: "SACK at the backend only", on: { client: { tcp_sack: 0 } }, reason: "sack" },
  { name: "SACK at the client only", on: { backend: { tcp_sack: 0 } }, reason: "sack" },
];

/** Does something while the hosts have the settings of the case; what it throws names the case. */
async function during({ topology }: PacketRun, { name, on = {} }: Case, act: () => Promise<void>) {
  const changed = [
    { space: topology.client, settings: on.client ?? {} },
    { space: topology.backend, settings: on.backend ?? {} },
  ].flatMap(({ space, settings }) =>
    Object.entries(settings).map(([setting, value]) => ({ space, path: `net/ipv4/${setting}`, value })),
  );
  const before = changed.map(({ space, path }) => space.run("cat", [`/proc/sys/${path}`]).trim());
  for (const { space, path, value } of changed) setSysctl(space, path, value);
  try {
    await act();
  } catch (error) {
    throw new Error(`${name}: ${error}`, { cause: error });
  }
  for (const [index, { space, path }] of changed.entries()) setSysctl(space, path, before[index]!);
}

describe("a link", () => {
  it.each([4, 6] as const)("carries what its ends do their own way, with IPv%i", async (family) => {
    const run = await PacketRun.start("routed", family);
    for (const [index, each] of CARRIED.entries()) {
      await during(run, each, async () => {
        await run.expectWhole(each.targets ?? BOTH_WAYS, each.options);
        const counters = await run.expectLinks(index + 1);
        expect(counters.event("spliced")).toBeGreaterThan(10 * (index + 1));
      });
    }
  });

  it.each([
    ["a tiny window", { rcvbuf: 4_096 }],
    ["a clamped window", { clamp: 20_000 }],
  ] as const)("carries a backend with %s", async (_name, server) => {
    const run = await PacketRun.start("routed", 4, { server });
    await run.expectWhole([{ up: MB, down: MB }]);
    await run.expectLinks(1);
  });

  it("carries a client with small segments", async () => {
    const run = await PacketRun.start("routed", 4);
    const { segment } = await run.expectWhole(BOTH_WAYS, { mss: 600 });
    expect(segment).toBeLessThan(600);
    await run.expectLinks(1);
  });

  it("carries an IPv4 client of a listener for both families", async () => {
    const run = await PacketRun.start("routed", 4, { listen: "[::]:8080" });
    await run.expectWhole(BOTH_WAYS);
    await run.expectLinks(1);
  });
});

describe("a connection", () => {
  it("is served by copy when its ends disagree on how to count", async () => {
    const run = await PacketRun.start("routed", 4);
    let seen: Record<string, number> = {};
    for (const each of REFUSED) {
      await during(run, each, async () => {
        await run.expectAnswered(BOTH_WAYS);
        const { fallbacks } = await run.proxy.counters();
        const others = Object.keys(fallbacks).filter((reason) => fallbacks[reason] !== seen[reason]);
        expect(others).toEqual([each.reason]);
        seen = fallbacks;
      });
    }
    const counters = await run.proxy.quietCounters();
    expect([counters.links(), counters.event("spliced"), counters.impossible]).toEqual([0, 0, []]);
    // The heads in the tunnels count as well.
    expect(counters.forwardedBytes("copy") - REFUSED.length * 4 * MB).toBeLessThan(2_000);
    await run.expectBackends(REFUSED.length * 2, REFUSED.length * 2 * MB);
  });

  it("is served by copy when its backend takes smaller segments than its client may send", async () => {
    const run = await PacketRun.start("routed", 4, { server: { mss: 600 } });
    await run.expectAnswered(BOTH_WAYS);
    const counters = await run.proxy.quietCounters();
    expect([Object.keys(counters.fallbacks), counters.links()]).toEqual([["mss"], 0]);
    await run.expectBackends(2, 2 * MB);
  });

  it.each([
    [4, "fd88:2::2"],
    [6, "10.88.2.2"],
  ] as const)("is served by copy between an IPv%i client and %s", async (family, backend) => {
    const pools = { main: { backends: [{ address: withPort(backend, 9_000) }] } };
    const run = await PacketRun.start("routed", family, { config: { pools } });
    await run.expectAnswered(BOTH_WAYS);
    const counters = await run.proxy.quietCounters();
    expect(Object.keys(counters.fallbacks)).toHaveLength(1);
    expect([counters.links(), counters.event("spliced")]).toEqual([0, 0]);
    await run.expectBackends(2, 2 * MB);
  });

  it.each([
    ["client", "clients"],
    ["backend", "backends"],
  ] as const)("survives a %s behind a smaller MTU", async (side, name) => {
    const prepare = (topology: Topology) => {
      topology.proxy.ip("link", "set", name, "mtu", "1300");
      topology[side].ip("link", "set", "uplink", "mtu", "1300");
    };
    const run = await PacketRun.start("routed", 4, { prepare });
    await run.expectAnswered(BOTH_WAYS);
    const counters = await run.proxy.quietCounters();
    expect([...Object.keys(counters.fallbacks), counters.links()]).toEqual(
      counters.links() === 1 ? [1] : ["mss", 0],
    );
    expect(counters.impossible).toEqual([]);
    await run.expectBackends(2, 2 * MB);
  });
});
