import { join } from "node:path";
import { keyed } from "./proc.js";

/** What a file holds; undefined if it is not there or cannot be read. */
export type ReadText = (path: string) => Promise<string | undefined>;

/** What a control group with limits has used. */
export interface GroupUse {
  /** Of the memory that it may have, 0 to 1; undefined without a limit. */
  readonly memory: number | undefined;
  /** Processor time since its beginning and how many processors it may use, both in microseconds and parts of one; undefined without a limit. */
  readonly cpu: { readonly micros: number; readonly processors: number } | undefined;
}

/**
 * The control groups (version 2) that this process is in, from its own up to the top: each of them may have limits, and
 * the tightest counts.
 *
 * @param cgroup what `/proc/self/cgroup` holds
 * @returns their folders below the mount point, which is `/` in a container with a name space of its own
 */
export function groupFolders(cgroup: string): string[] {
  const path = /^0::(.*)$/m.exec(cgroup)?.[1];
  if (path === undefined) return [];
  const parts = path.split("/").filter((part) => part !== "" && part !== "..");
  return Array.from({ length: parts.length + 1 }, (_, up) => parts.slice(0, parts.length - up).join("/"));
}

/** Reads what a group has used of its limits. */
export async function readGroup(folder: string, read: ReadText): Promise<GroupUse> {
  const [max, current, memoryStat, cpuMax, cpuStat] = await Promise.all(
    ["memory.max", "memory.current", "memory.stat", "cpu.max", "cpu.stat"].map((file) =>
      read(join(folder, file)),
    ),
  );
  return { memory: memoryUse(max, current, memoryStat), cpu: cpuUse(cpuMax, cpuStat) };
}

/** Pages of files that nobody used lately could be given up at once, so they do not count. */
function memoryUse(max = "max", current = "", stat = ""): number | undefined {
  const limit = Number.parseInt(max, 10);
  const used = Number.parseInt(current, 10) - (keyed(stat, "inactive_file") ?? 0);
  return limit > 0 && used >= 0 ? used / limit : undefined;
}

function cpuUse(max = "max", stat = ""): GroupUse["cpu"] {
  const [quota = Number.NaN, period = Number.NaN] = max.trim().split(" ").map(Number);
  const micros = keyed(stat, "usage_usec");
  return quota > 0 && period > 0 && micros !== undefined ? { micros, processors: quota / period } : undefined;
}
