/** Readers of the kernel's text files. Each takes what a file holds; what it does not find there it leaves out. */

/** Processor time since the start of the machine, in ticks, all processors together. */
export interface CpuTime {
  readonly busy: number;
  readonly total: number;
}

/** `/proc/stat`. Waiting for a disk is idling. Time of guests is part of what `user` and `nice` say already. */
export function readCpuTime(stat: string): CpuTime | undefined {
  const line = /^cpu +(.*)$/m.exec(stat)?.[1];
  if (line === undefined) return undefined;
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line
    .split(" ")
    .map(Number);
  const busy = user + nice + system + irq + softirq + steal;
  return { busy, total: busy + idle + iowait };
}

/** `/proc/meminfo`: the share of the memory that no program could get, 0 to 1. */
export function readMemoryUse(meminfo: string): number | undefined {
  const total = keyed(meminfo, "MemTotal:");
  const available = keyed(meminfo, "MemAvailable:");
  return total === undefined || available === undefined || total === 0 ? undefined : 1 - available / total;
}

/** `/proc/diskstats`: by disk, milliseconds in which it had something to do. Disks that never did anything are left out. */
export function readDiskTime(diskstats: string): Map<string, number> {
  const times = new Map<string, number>();
  for (const line of diskstats.split("\n")) {
    const [, , name = "", ...fields] = line.trim().split(/ +/);
    const busy = Number(fields[9]);
    if (busy > 0) times.set(name, busy);
  }
  return times;
}

/** `/proc/pressure/io`: microseconds in which at least one task waited for input or output. */
export function readPressure(pressure: string): number | undefined {
  const total = /^some .*total=(\d+)$/m.exec(pressure)?.[1];
  return total === undefined ? undefined : Number(total);
}

/** `/proc/net/snmp`: TCP connections that are established, or closed by the peer only. IPv6 is among them. */
export function readConnections(snmp: string): number | undefined {
  const [names, values] = snmp
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"))
    .map((line) => line.split(" "));
  const count = values?.[names?.indexOf("CurrEstab") ?? -1];
  return count === undefined ? undefined : Number(count);
}

/** What is known of sockets. */
export interface SocketCounts {
  /** Established connections with bytes that the program has not read, or the peer not acknowledged. */
  readonly active: number;
  /** Connections that no program has accepted yet. */
  readonly queued: number;
}

/** `/proc/net/tcp` or `tcp6`: states 01 (established) and 0A (listening, where the receive queue counts connections). */
export function readSockets(table: string): SocketCounts {
  let active = 0;
  let queued = 0;
  for (const [, state, sending, received] of table.matchAll(
    /^ *\d+: \S+ \S+ (01|0A) ([0-9A-F]{8}):([0-9A-F]{8}) /gm,
  )) {
    if (state === "0A") queued += Number.parseInt(received as string, 16);
    else if (sending !== "00000000" || received !== "00000000") active++;
  }
  return { active, queued };
}

/** The number behind a key at the beginning of a line. */
export function keyed(text: string, key: string): number | undefined {
  const line = text.split("\n").find((each) => each.startsWith(`${key} `));
  const [, value] = line?.split(/ +/) ?? [];
  return value === undefined ? undefined : Number(value);
}
