import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { delay } from "./wait.js";

/** Bounds the file descriptors of a running process, as `ulimit -S -n` does before a start. */
export function limitFds(pid: number, count: number): void {
  execFileSync("prlimit", ["--pid", String(pid), `--nofile=${count}:`]);
}

/** The share of one core that a process used, with all its threads, during the next `ms` milliseconds. */
export async function cpuShare(pid: number, ms: number): Promise<number> {
  const [ticks, start] = [cpuTicks(pid), performance.now()];
  await delay(ms);
  // Linux counts in hundredths of a second wherever Node runs.
  return ((cpuTicks(pid) - ticks) * 10) / (performance.now() - start);
}

/** User and system time of a process (proc(5), fields 14 and 15). */
function cpuTicks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
