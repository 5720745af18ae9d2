/** One measurement: load on one target for some seconds, and what the machine and the processes spent on it. */
import { cpuBetween, readCpuTimes, readGroupCpu } from "./cpu.js";
import { type LoadOptions, type LoadReport, runLoad } from "./load/load.js";
import type { RunningServer } from "./processes.js";
import type { Topology } from "./topology.js";

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

/** Measures once. The load must ask for bodies of the given size. */
export async function measureOnce(
  topology: Topology,
  load: LoadOptions,
  bodyBytes: number,
  servers: { readonly proxy: RunningServer | null; readonly origin: RunningServer },
): Promise<Round> {
  const read = () => ({
    machine: readCpuTimes(),
    proxy: servers.proxy === null ? 0 : readGroupCpu(servers.proxy.group),
    origin: readGroupCpu(servers.origin.group),
  });
  const before = read();
  const report = await runLoad(topology, load);
  const after = read();
  const machine = cpuBetween(before.machine, after.machine);
  return {
    ...report,
    requestsPerSecond: report.requests / report.seconds,
    cpuMicros: (machine.busy / report.requests) * 1e6,
    cpu: { ...machine, proxy: after.proxy - before.proxy, origin: after.origin - before.origin },
    failed: failureOf(report, bodyBytes, load.connections),
  };
}
