import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { LoadFigures } from "../pools/load-report.js";
import { type GroupUse, groupFolders, readGroup } from "./cgroup.js";
import {
  type CpuTime,
  readConnections,
  readCpuTime,
  readDiskTime,
  readMemoryUse,
  readPressure,
  readSockets,
  type SocketCounts,
} from "./proc.js";

/** Where the kernel's files are; tests have others. */
export interface Roots {
  readonly proc: string;
  readonly cgroup: string;
}

const ROOTS: Roots = { proc: "/proc", cgroup: "/sys/fs/cgroup" };

/** What was read at one time. Only differences of two readings say how busy something was. */
interface Reading {
  /** Monotonic, milliseconds. */
  readonly at: number;
  readonly cpu: CpuTime | undefined;
  readonly memory: number | undefined;
  readonly disks: ReadonlyMap<string, number>;
  /** Microseconds. */
  readonly waiting: number | undefined;
  readonly groups: readonly GroupUse[];
  readonly tcpConnections: number | undefined;
}

/**
 * The kernel writes a line for each socket, which takes long where there are many. So they are read again only after
 * this many times as long as it took: the agent never needs more than a hundredth of a processor for it.
 */
const SOCKETS_REST = 100;

/** Knows how busy this machine is. What the kernel does not tell is left out. */
export class Sampler {
  private last: Reading | undefined;
  private sockets: Pick<LoadFigures, "activeSockets" | "queue"> = {};
  /** When sockets may be read again. */
  private socketsAt = Number.NEGATIVE_INFINITY;
  /** As of the last reading; the shares of time are those between it and the one before. */
  figures: LoadFigures = {};

  /** @param now monotonic milliseconds */
  constructor(
    private readonly roots: Roots = ROOTS,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Reads everything once more. */
  async sample(): Promise<void> {
    const reading = await this.read();
    await this.readSockets();
    const { last } = this;
    this.last = reading;
    this.figures = known({
      cpu: last && most([hostCpu(last, reading), ...groupCpus(last, reading)]),
      memory: most([reading.memory, ...reading.groups.map(({ memory }) => memory)]),
      io: last && most([busiestDisk(last, reading), waitingShare(last, reading)]),
      tcpConnections: reading.tcpConnections,
      ...this.sockets,
    });
  }

  private async readSockets(): Promise<void> {
    const started = this.now();
    if (started < this.socketsAt) return;
    const files = ["tcp", "tcp6"].map((file) => text(join(this.roots.proc, "self/net", file)));
    const tables = (await Promise.all(files)).filter((table) => table !== undefined).map(readSockets);
    const took = this.now() - started;
    this.socketsAt = started + SOCKETS_REST * took;
    if (tables.length === 0) return;
    const sum = (count: (table: SocketCounts) => number) =>
      tables.reduce((all, each) => all + count(each), 0);
    this.sockets = { activeSockets: sum(({ active }) => active), queue: sum(({ queued }) => queued) };
  }

  private async read(): Promise<Reading> {
    const proc = (file: string) => text(join(this.roots.proc, file));
    const at = this.now();
    const [stat, meminfo, diskstats, pressure, snmp, cgroup] = await Promise.all(
      ["stat", "meminfo", "diskstats", "pressure/io", "self/net/snmp", "self/cgroup"].map(proc),
    );
    const folders = groupFolders(cgroup ?? "");
    const groups = await Promise.all(
      folders.map((folder) => readGroup(join(this.roots.cgroup, folder), text)),
    );
    return {
      at,
      cpu: readCpuTime(stat ?? ""),
      memory: readMemoryUse(meminfo ?? ""),
      disks: readDiskTime(diskstats ?? ""),
      waiting: readPressure(pressure ?? ""),
      groups,
      tcpConnections: readConnections(snmp ?? ""),
    };
  }
}

function hostCpu(before: Reading, after: Reading): number | undefined {
  if (before.cpu === undefined || after.cpu === undefined) return undefined;
  return share(after.cpu.busy - before.cpu.busy, after.cpu.total - before.cpu.total);
}

/** Of what each control group may use. Its quota may be overdrawn for a moment, so this may be more than 1. */
function groupCpus(before: Reading, after: Reading): (number | undefined)[] {
  const micros = (after.at - before.at) * 1000;
  return after.groups.map(({ cpu }, index) => {
    const earlier = before.groups[index]?.cpu;
    if (cpu === undefined || earlier === undefined) return undefined;
    return share(cpu.micros - earlier.micros, micros * cpu.processors);
  });
}

function busiestDisk(before: Reading, after: Reading): number | undefined {
  const shares = [...after.disks].map(([name, time]) =>
    share(time - (before.disks.get(name) ?? time), after.at - before.at),
  );
  return most(shares.map((each) => each && Math.min(1, each)));
}

function waitingShare(before: Reading, after: Reading): number | undefined {
  if (before.waiting === undefined || after.waiting === undefined) return undefined;
  const part = share(after.waiting - before.waiting, (after.at - before.at) * 1000);
  return part && Math.min(1, part);
}

/** Counters may start anew, and clocks stand still. */
function share(part: number, whole: number): number | undefined {
  return whole > 0 && part >= 0 ? part / whole : undefined;
}

function most(values: readonly (number | undefined)[]): number | undefined {
  const numbers = values.filter((value) => value !== undefined);
  return numbers.length === 0 ? undefined : Math.max(...numbers);
}

/** Without what is undefined, in thousandths. */
function known(figures: { readonly [name in keyof LoadFigures]: number | undefined }): LoadFigures {
  return Object.fromEntries(
    Object.entries(figures).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Math.round(value * 1000) / 1000]],
    ),
  );
}

async function text(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(() => undefined);
}
