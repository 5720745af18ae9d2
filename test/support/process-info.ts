import { readdirSync, readFileSync } from "node:fs";

/** Resident memory of a process, in bytes. */
export function rssBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  if (!match) throw new Error(`no VmRSS for process ${pid}`);
  return Number(match[1]) * 1024;
}

/** How many file descriptors a process has open. */
export const openFds = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
