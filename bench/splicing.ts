/** Did the packet engine do the work? A proxy that copied instead would be measured under a wrong name. */
import { labelledValues, readMetrics } from "./metrics.js";

/** What the packet engine counted: packets by event, and fallbacks as `fallback: reason`. */
export type PacketCounts = Readonly<Record<string, number>>;

/** The part of longsplice's metrics that is about the packet engine. */
export function parsePacketCounts(metrics: string): PacketCounts {
  const counts: Record<string, number> = {};
  for (const [labels, count] of Object.entries(labelledValues(metrics, "longsplice_packet_total"))) {
    counts[/event="(.*?)"/.exec(labels)?.[1] ?? labels] = count;
  }
  const fallbacks = labelledValues(metrics, "longsplice_engine_fallback_total");
  for (const [labels, count] of Object.entries(fallbacks)) {
    counts[`fallback: ${/reason="(.*?)"/.exec(labels)?.[1] ?? labels}`] = count;
  }
  return counts;
}

/** @param admin path of the admin socket */
export async function readPacketCounts(admin: string): Promise<PacketCounts> {
  return parsePacketCounts(await readMetrics(admin));
}

/** What was counted between two readings; without what did not grow. */
export function growthOf(before: PacketCounts, after: PacketCounts): PacketCounts {
  const growth = Object.entries(after).map(([what, count]) => [what, count - (before[what] ?? 0)] as const);
  return Object.fromEntries(growth.filter(([, count]) => count !== 0));
}

/**
 * How many of these there are for each request, at least, if the engine works as it is meant to. Not quite one verdict: the
 * first requests of a connection take other ways. A parked stack is told at least once for each link that its request has
 * arrived, and of three requests one is linked.
 */
const least = { spliced: 1, judged: 0.9, returned: 0.9, split_acks: 0.3 } as const;

/** What the engine has to do for each request of a measurement. */
export type PacketEvent = keyof typeof least;

/** What is counted for a client that left before its link was made. */
const leftEarly = "fallback: half_closed";

/**
 * Why a measurement in which the counters grew like this is none of the packet engine, or null. When its time is over a
 * load generator leaves each of its connections at whatever point that is. `expected` is null where the engine has nothing
 * to do: no link is made for a request that says that it is the only one of its connection.
 */
export function splicingFailure(
  growth: PacketCounts,
  requests: number,
  connections: number,
  expected: PacketEvent | null = "spliced",
): string | null {
  const forbidden = Object.entries(growth).filter(
    ([what, count]) => /^(bad_|fallback)/.test(what) && !(what === leftEarly && count <= connections),
  );
  if (forbidden.length > 0) return forbidden.map(([what, count]) => `${count} x ${what}`).join(", ");
  if (expected === null) return null;
  const count = growth[expected] ?? 0;
  return count < least[expected] * requests ? `only ${count} x ${expected} in ${requests} requests` : null;
}
