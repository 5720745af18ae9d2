/** CPU time: of the whole machine and of single processes, in seconds. */
import { readdirSync, readFileSync } from "node:fs";

/** Ticks per second in /proc: USER_HZ, which is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU seconds of the whole machine since its start. */
export interface CpuTimes {
  /** user + nice + system + irq + softirq: all work, whoever caused it, interrupts and network stack included. */
  readonly busy: number;
  /** Time that the hypervisor gave to others. Not ours, hence not in `busy`; much of it spoils a measurement. */
  readonly steal: number;
  /** busy + idle + iowait + steal. */
  readonly total: number;
}

/** Reads the sum line of /proc/stat. Guest time is part of user time there already. @throws Error if there is none */
export function parseCpuTimes(stat: string): CpuTimes {
  const line = /^cpu +(.*)$/m.exec(stat)?.[1];
  if (line === undefined) throw new Error("/proc/stat has no line for all processors");
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line
    .split(/\s+/)
    .map((ticks) => Number(ticks) / TICKS_PER_SECOND);
  const busy = user + nice + system + irq + softirq;
  return { busy, steal, total: busy + idle + iowait + steal };
}

export function readCpuTimes(): CpuTimes {
  return parseCpuTimes(readFileSync("/proc/stat", "utf8"));
}

export function cpuBetween(before: CpuTimes, after: CpuTimes): CpuTimes {
  return {
    busy: after.busy - before.busy,
    steal: after.steal - before.steal,
    total: after.total - before.total,
  };
}

/** What the bench reads from /proc/PID/stat. */
export interface ProcessTimes {
  readonly group: number;
  /** User and system time of all its threads, in seconds. */
  readonly cpu: number;
}

/** The name of a program stands in parentheses and may itself contain some: fields count from the last one. */
export function parseProcessTimes(stat: string): ProcessTimes {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return {
    group: Number(fields[2]),
    cpu: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
  };
}

/** CPU seconds of every live process of a process group. */
export function readGroupCpu(group: number): number {
  let sum = 0;
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const times = parseProcessTimes(readFileSync(`/proc/${entry}/stat`, "utf8"));
      if (times.group === group) sum += times.cpu;
    } catch {
      // It ended between the listing and the reading.
    }
  }
  return sum;
}
