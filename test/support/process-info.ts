import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Resident memory of a process, in bytes. */
export function rssBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  if (!match) throw new Error(`no VmRSS for process ${pid}`);
  return Number(match[1]) * 1024;
}

/**
 * Resident memory of what malloc manages in a process of glibc, in bytes: unlike all of it, it does not move by megabytes
 * whenever V8 cleans up. Blocks beyond malloc's mmap threshold are not in it.
 */
export function mallocBytes(pid: number): number {
  const arena = 64n * 1024n * 1024n; // where each arena of a thread begins, HEAP_MAX_SIZE in glibc
  let counts = false;
  let sum = 0;
  for (const line of readFileSync(`/proc/${pid}/smaps`, "latin1").split("\n")) {
    const mapping = /^([0-9a-f]+)-\S+ rw-p \S+ 00:00 0\s*(.*)$/.exec(line);
    if (mapping)
      counts = mapping[2] === "[heap]" || (!mapping[2] && BigInt(`0x${mapping[1]}`) % arena === 0n);
    else if (/^[0-9a-f]+-/.test(line)) counts = false;
    const resident = /^Rss:\s+(\d+) kB$/.exec(line);
    if (resident && counts) sum += Number(resident[1]) * 1024;
  }
  return sum;
}

/** What `read` makes of a file under /proc, or nothing: descriptors and processes end between a listing and a look. */
export function ifThere<T>(read: () => T): T[] {
  try {
    return [read()];
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code!)) return [];
    throw error;
  }
}

/** How many file descriptors a process has open. */
export const openFds = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** How many of them are sockets or pipes: files come and go while modules are loaded. */
export function openChannels(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  const targets = readdirSync(folder).flatMap((fd) => ifThere(() => readlinkSync(`${folder}/${fd}`)));
  return targets.filter((target) => /^(socket|pipe):/.test(target)).length;
}
