/**
 * The packet engine on the kernel of Debian 12, which has no tcx, an older verifier, and netem. Starting the program
 * takes half a minute here, so that a test does with one start what it can.
 */
import { release } from "node:os";
import { expect, it } from "vitest";
import { loadAddon } from "../../src/dataplane/native.js";
import type { Namespace } from "../support/netns.js";
import { packetProgram } from "../support/packet-programs.js";
import { MB, PacketRun, type Target } from "../support/packet-run.js";
import { type Family, tcpCounters } from "../support/packet-topology.js";
import { eventually } from "../support/wait.js";

const SHORT = Boolean(process.env.LONGSPLICE_SHORT);
const FAMILIES: readonly Family[] = SHORT ? [4] : [4, 6];

const BODIES: readonly Target[] = [
  {},
  { down: 128 },
  { up: 128, down: 128 },
  { up: MB, down: MB, seed: 2 },
  { up: MB, down: 2 * MB, early: true, seed: 3 },
];

/** An interface, and what sends into it. */
type End = readonly [space: Namespace, name: string];

/** What tc says of the interfaces of the proxy's host: whether the queue is there, and how many of our filters. */
function clsact({ topology }: PacketRun): { queues: number; filters: number } {
  const [space, found] = [topology.proxy, { queues: 0, filters: 0 }];
  for (const name of topology.proxyInterfaces) {
    // Without a clsact there is no list of filters to ask for.
    if (!space.run("tc", ["qdisc", "show", "dev", name]).includes("clsact")) continue;
    found.queues++;
    for (const side of ["ingress", "egress"]) {
      const filters = space.run("tc", ["filter", "show", "dev", name, side]);
      found.filters += filters.match(/ bpf .*direct-action/g)?.length ?? 0;
    }
  }
  return found;
}

const expectNothingLeft = (run: PacketRun) =>
  eventually("the end of every filter and clsact", () => clsact(run).queues === 0);

/** The four sending ends of the two lines of routed hosts. */
function endsOf({ topology: { client, proxy, backend } }: PacketRun): readonly End[] {
  return [
    [client, "uplink"],
    [proxy, "clients"],
    [proxy, "backends"],
    [backend, "uplink"],
  ];
}

function spoil(run: PacketRun, ...netem: string[]): void {
  for (const [space, name] of endsOf(run)) {
    space.run("tc", ["qdisc", "replace", "dev", name, "root", "netem", "limit", "100000", ...netem]);
  }
}

/** Packets that netem dropped at that end since the last `spoil`. */
function lostAt([space, name]: End): number {
  const text = space.run("tc", ["-s", "qdisc", "show", "dev", name]);
  return Number(/netem[\s\S]*?dropped (\d+)/.exec(text)?.[1]);
}

const overtaken = (space: Namespace): number => tcpCounters(space).get("TCPOFOQueue") ?? 0;

it("is the kernel of Debian 12", () => {
  expect(release()).toMatch(/^6\.1\.\d+-\d+-amd64$/);
});

it("passes the self-test of the sockmap engine", () => {
  expect(loadAddon().probeSockmapEngine()).toEqual({ status: "usable" });
});

it.each(FAMILIES)(
  "splices on loopback, and leaves no filter when it is killed, with IPv%i",
  async (family) => {
    const run = await PacketRun.start("local", family);
    expect(clsact(run)).toEqual({ queues: 1, filters: 1 });
    await run.expectWhole(BODIES);
    expect((await run.expectLinks(1)).event("spliced")).toBeGreaterThan((5 * MB) / 131_072);
    // It holds its connection until the end of the test ends it.
    run.fetch([{ down: 128 }], { hold: 600_000 }).catch(() => undefined);
    await eventually("a link", async () => (await run.proxy.counters()).activeLinks === 1);
    await run.proxy.crash();
    await expectNothingLeft(run);
  },
);

it.each(FAMILIES)("splices between veths while netem spoils the lines, with IPv%i", async (family) => {
  const run = await PacketRun.start("routed", family);
  expect(clsact(run)).toEqual({ queues: 3, filters: 5 });
  await run.expectWhole(BODIES);

  // A loss would take 64 KB at once otherwise.
  for (const [space, name] of endsOf(run)) space.run(packetProgram("offloads"), [name]);
  const body = { up: 2 * MB, down: 2 * MB };
  spoil(run, "loss", "2%");
  await run.expectWhole([body, { ...body, seed: 2 }]);
  for (const end of endsOf(run)) expect(lostAt(end)).toBeGreaterThan(0);

  spoil(run, "delay", "5ms");
  const before = performance.now();
  await run.expectWhole([body, { ...body, seed: 2 }]);
  expect(performance.now() - before).toBeGreaterThan(40);

  const sorted = [run.topology.client, run.topology.backend].map(overtaken);
  spoil(run, "delay", "5ms", "reorder", "25%");
  await run.expectWhole([body, { ...body, seed: 2 }]);
  for (const [index, space] of [run.topology.client, run.topology.backend].entries()) {
    expect(overtaken(space)).toBeGreaterThan(sorted[index]! + 10);
  }
  expect((await run.expectLinks(4)).event("spliced")).toBeGreaterThan((12 * MB) / 1_500);
  await run.proxy.stop();
  await expectNothingLeft(run);
});
