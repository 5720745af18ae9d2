/** One measurement: load on one target for some seconds, and what the machine and the processes spent on it. */
import { cpuBetween, readCpuTimes, readGroupCpu } from "./cpu.js";
import type { Entrant } from "./lineup.js";
import { type LoadOptions, type LoadReport, runLoad } from "./load/load.js";
import {
  growthOf,
  type PacketCounts,
  type PacketEvent,
  readPacketCounts,
  splicingFailure,
} from "./splicing.js";

export interface Round extends LoadReport {
  readonly requestsPerSecond: number;
  /** CPU time of the whole machine by request, in microseconds. */
  readonly cpuMicros: number;
  /** CPU seconds within the measurement; `total` is what all cores had to give. */
  readonly cpu: {
    readonly busy: number;
    readonly steal: number;
    readonly total: number;
    readonly proxy: number;
    readonly origin: number;
  };
  /** What the packet engine counted meanwhile; null for targets without it. */
  readonly packet: PacketCounts | null;
  /** Why it does not count, or null. */
  readonly failed: string | null;
}

/** The most that heads may add to a body, in bytes. */
const headBytes = 1024;

/** What was wrong with the answers, or null: a single failed request spoils a measurement. */
export function failureOf(report: LoadReport, bodyBytes: number, connections: number): string | null {
  const errors = Object.entries(report.errors).filter(([, count]) => count > 0);
  if (errors.length > 0) return errors.map(([kind, count]) => `${count} ${kind} errors`).join(", ");
  if (report.requests === 0) return "no request was answered";
  const { requests, bytes } = report;
  // Unfinished answers count among the bytes, but not among the requests.
  const most = (requests + connections) * (bodyBytes + headBytes);
  if (bytes < requests * bodyBytes || bytes > most) return `${bytes} bytes in ${requests} answers`;
  return null;
}

/** What a load is made of besides where it goes. */
export interface LoadShape extends Omit<LoadOptions, "addresses" | "path"> {
  /** What `splice` has to do for each request, or null: nothing. Otherwise that follows from the mode. */
  readonly expected?: PacketEvent | null;
}

/** Measures a target once, with answers of so many bytes. */
export async function measureOnce(entrant: Entrant, shape: LoadShape, bodyBytes: number): Promise<Round> {
  const { topology, target, origin } = entrant;
  const splices = target.name === "splice";
  const read = () => ({
    machine: readCpuTimes(),
    proxy: target.server === null ? 0 : readGroupCpu(target.server.group),
    origin: readGroupCpu(origin.server.group),
  });
  const countsBefore = splices ? await readPacketCounts(target.admin) : {};
  const before = read();
  const { expected = shape.mode === "close" ? null : "spliced" } = shape;
  const path = `/${bodyBytes}`;
  const report = await runLoad(topology, { ...shape, addresses: target.addresses, path });
  const after = read();
  const packet = splices ? growthOf(countsBefore, await readPacketCounts(target.admin)) : null;
  const machine = cpuBetween(before.machine, after.machine);
  return {
    ...report,
    requestsPerSecond: report.requests / report.seconds,
    cpuMicros: (machine.busy / report.requests) * 1e6,
    cpu: { ...machine, proxy: after.proxy - before.proxy, origin: after.origin - before.origin },
    packet,
    failed:
      failureOf(report, bodyBytes, shape.connections) ??
      (packet === null ? null : splicingFailure(packet, report.requests, shape.connections, expected)),
  };
}
