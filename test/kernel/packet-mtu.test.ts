/** Paths that become narrower while a link stands: the end that sends too large segments has to hear of it. */
import { describe, expect, it } from "vitest";
import type { Namespace } from "../support/netns.js";
import { MB, PacketRun, type Target } from "../support/packet-run.js";
import { address, FAMILIES, type Placement, tcpCounters } from "../support/packet-topology.js";
import { eventually } from "../support/wait.js";

const [WIDE, NARROW] = [1_500, 1_280];
/** Bytes, and the pause in microseconds behind them: 16 MB take more than two seconds. */
const SLOWLY = "65536:10000";

const CASES: readonly { placement: Placement; side: "client" | "backend" }[] = [
  { placement: "routed", side: "client" },
  { placement: "routed", side: "backend" },
  { placement: "local-backend", side: "client" },
  { placement: "local-client", side: "backend" },
];

/** Who sends to the narrow side, and the address of the proxy that it sends to. */
function senderTo(side: "client" | "backend", { topology }: PacketRun): { space: Namespace; to: string } {
  const { family, placement, target, backends } = topology;
  if (side === "backend") return { space: topology.client, to: target };
  return { space: topology.backend, to: placement === "routed" ? address(family, 2, 1) : backends[0]! };
}

/** What a host has learnt of the path to an address. */
function learntMtu(space: Namespace, to: string): number {
  return Number(/ expires .*\bmtu (\d+)/.exec(space.run("ip", ["route", "get", to]))?.[1] ?? WIDE);
}

function narrow({ topology }: PacketRun, side: "client" | "backend"): void {
  topology[`${side}Router`]!.ip("link", "set", "far", "mtu", String(NARROW));
  topology[side].ip("link", "set", "uplink", "mtu", String(NARROW));
}

describe.each(FAMILIES)("a path of IPv%i that becomes narrower", (family) => {
  it.each(CASES)("at the $side of $placement hosts is noticed at the other end", async (each) => {
    const { placement, side } = each;
    const run = await PacketRun.start(placement, family, { routers: true });
    const sender = senderTo(side, run);
    const body: Target = side === "client" ? { down: 16 * MB, write: SLOWLY } : { up: 16 * MB };
    const transfer = run.expectWhole([{ down: 128 }, body], { write: SLOWLY });
    await eventually("a busy link", async () => (await run.proxy.counters()).event("spliced") > 50);
    expect(learntMtu(sender.space, sender.to)).toBe(WIDE);

    const timeouts = () => tcpCounters(sender.space).get("TCPTimeouts")!;
    const before = timeouts();
    narrow(run, side);
    await transfer;
    expect(learntMtu(sender.space, sender.to)).toBe(NARROW);
    // It sent the segments again because it was told, not because nothing came back.
    expect(timeouts() - before).toBe(0);
    const counters = await run.expectLinks(1);
    expect(counters.event("icmp")).toBeGreaterThan(0);
    // A packet may come while the link is being made.
    expect(counters.event("local_in")).toBeLessThan(2);
  });
});
