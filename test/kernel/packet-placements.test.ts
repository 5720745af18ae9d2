/** The packet engine in every placement: all bytes arrive, both ways, and they went past the stacks of the proxy. */
import { describe, expect, it } from "vitest";
import { MB, PacketRun, type Target } from "../support/packet-run.js";
import { FAMILIES, PLACEMENTS, tcpCounters } from "../support/packet-topology.js";

/** Two segments on lo, which a sender puts into one packet even where they are larger than 64 KB together. */
const LARGEST_PACKET = 131_072;

/** What no TCP stack may have had to say about the packets that it got. Loss is not in it: queues may overflow. */
const SILENT = ["InCsumErrors", "PAWSEstab", "PAWSActive", "TCPChallengeACK", "TCPAbortOnTimeout"];

const FIRST_REQUESTS: readonly Target[] = [
  {},
  { down: 128 },
  { up: 128, down: 128 },
  { up: MB, down: MB, seed: 3 },
  { up: MB, down: 2 * MB, early: true, seed: 4 },
];

function complaints(run: PacketRun): Record<string, number> {
  const found = run.topology.spaces.flatMap((space) => {
    const counters = tcpCounters(space);
    return SILENT.map((name): [string, number] => [`${space.name} ${name}`, counters.get(name) ?? 0]);
  });
  return Object.fromEntries(found.filter(([, count]) => count > 0));
}

/** A parked socket that misses an acknowledgement would repeat itself while the connection is idle. */
async function expectSilentSockets(run: PacketRun): Promise<number> {
  const repeated = () => run.topology.spaces.map((space) => tcpCounters(space).get("RetransSegs")!);
  // A machine that stalls is late with an acknowledgement; one that is never sent is missing every time.
  for (let links = 1; ; links++) {
    const before = repeated();
    const client = await run.expectWhole([{ down: 128 }, { up: 128, down: 128 }], { hold: 1_000 });
    // A request may have come in the moment in which the link was made.
    expect((await run.expectLinks(links)).event("stack_data")).toBeLessThanOrEqual(links);
    const grown = repeated().map((count, index) => count - before[index]!);
    const silent = client.retransmissions === 0 && grown.every((count) => count === 0);
    if (silent) return links;
    expect(links, `repeated: ${client.retransmissions}, by host ${grown}`).toBeLessThan(5);
  }
}

const bytesOf = (targets: readonly Target[]): number =>
  targets.reduce((total, { up = 0, down = 0 }) => total + up + down, 0);

describe.each(PLACEMENTS)("packets of %s hosts", (placement) => {
  it.each(FAMILIES)("go past the proxy's stacks with IPv%i", async (family) => {
    const run = await PacketRun.start(placement, family);
    const silent = await expectSilentSockets(run);
    // Each kind of request once as the first one, which user space reads, and once behind it.
    for (const first of FIRST_REQUESTS) await run.expectWhole([first, { up: 1_000, down: 1_000, seed: 2 }]);
    const before = await run.expectLinks(FIRST_REQUESTS.length + silent);
    const large: Target[] = [...FIRST_REQUESTS, { down: 64 * MB, seed: 5 }, { up: 64 * MB, seed: 6 }];
    await run.expectWhole(large);
    const after = await run.expectLinks(FIRST_REQUESTS.length + silent + 1);
    expect(after.event("spliced") - before.event("spliced")).toBeGreaterThan(bytesOf(large) / LARGEST_PACKET);
    expect(after.forwardedBytes("packet") - before.forwardedBytes("packet")).toBeGreaterThan(
      bytesOf(large) - MB,
    );
    expect(complaints(run)).toEqual({});
  });
});

describe("a long transfer", () => {
  it("of 256 MB each way arrives unchanged", async () => {
    const run = await PacketRun.start("routed", 4);
    await run.expectWhole([{ down: 256 * MB }, { up: 256 * MB, seed: 2 }]);
    const counters = await run.expectLinks(1);
    expect(counters.event("spliced")).toBeGreaterThan((512 * MB) / LARGEST_PACKET);
  });
});

describe("many connections", () => {
  it("at once keep their bytes apart", async () => {
    const run = await PacketRun.start("bridged", 4, { config: { workers: 2 } });
    const targets = [{ down: 100_000 }, { up: 50_000, down: 70_000, seed: 2 }, { down: 128, seed: 3 }];
    const clients = await run.fetchAll(targets, { connections: 100 });
    expect(clients).toHaveLength(100);
    for (const client of clients) {
      expect(client).toMatchObject({ responses: 3, received: 170_128, wrongAt: -1, end: "fin" });
    }
    for (const { reports } of run.servers) expect(reports.length).toBeGreaterThan(0);
    for (const server of await run.served(100)) {
      expect(server).toMatchObject({ requests: 3, received: 50_000, wrongAt: -1, end: "fin" });
    }
    await run.expectLinks(100);
  });
});
