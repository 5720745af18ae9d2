/** What connections cost a process in resident memory. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parseProcessTimes } from "../cpu.js";

/** Before the first connection and after the last, in seconds: long enough for Node to have collected its garbage. */
export const restSeconds = 20;
/** Requests on connections that end again, so that what a proxy sets up only once is there before. */
export const warmUpConnections = 500;
const mostRounds = 3;

/** Descriptors that a proxy has besides those of connections, generously. */
export const otherDescriptors = 400;

/** Client connections, each with one to the origin, that a proxy can hold with so many descriptors. */
export const connectionsWithin = (descriptors: number): number =>
  Math.floor((descriptors - otherDescriptors) / 2);

/** Idle client connections: longsplice keeps an eighth of the descriptors for those that wake up. */
export const idleConnectionsWithin = (descriptors: number): number =>
  Math.floor(((descriptors - otherDescriptors) * 7) / 8);

/** How many rounds of such a scenario there are in a plan of so many. */
export const restRounds = (rounds: number): number => Math.min(rounds, mostRounds);

/** Resident memory in the status of a process, in bytes. */
export function parseResident(status: string): number {
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** Resident bytes of all processes of a group. */
export function residentOf(group: number): number {
  let resident = 0;
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (parseProcessTimes(readFileSync(`/proc/${entry}/stat`, "utf8")).group !== group) continue;
      resident += parseResident(readFileSync(`/proc/${entry}/status`, "utf8"));
    } catch {
      // It ended between the listing and the reading.
    }
  }
  return resident;
}

/** Resident bytes, once a second while nothing happens. */
export async function watchAtRest(group: number): Promise<number[]> {
  const samples: number[] = [];
  for (let second = 0; second < restSeconds; second++) {
    await sleep(1000);
    samples.push(residentOf(group));
  }
  return samples;
}

/** What the samples say about a connection, in bytes. */
export interface IdleCost {
  /** From the last sample without the connections to the highest with them. */
  readonly growth: number;
  /**
   * From the lowest sample of all to the highest with them. Node gives megabytes of its own heap back at moments of
   * its own choice, also while the connections are open, which makes `growth` too small; here it counts against them.
   */
  readonly span: number;
}

/** @param without and held: resident bytes, in the order of time */
export function costOf(without: readonly number[], held: readonly number[], count: number): IdleCost {
  const highest = Math.max(...held);
  return {
    growth: (highest - (without.at(-1) ?? Number.NaN)) / count,
    span: (highest - Math.min(...without, ...held)) / count,
  };
}
