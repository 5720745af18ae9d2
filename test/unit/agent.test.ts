import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { groupFolders, readGroup } from "../../src/agent/cgroup.js";
import {
  readConnections,
  readCpuTime,
  readDiskTime,
  readMemoryUse,
  readPressure,
  readSockets,
} from "../../src/agent/proc.js";
import { Sampler } from "../../src/agent/sampler.js";

const STAT = (busy: number, idle: number) =>
  `cpu  ${busy} 0 0 ${idle} 0 0 0 0 0 0\ncpu0 ${busy} 0 0 ${idle} 0 0 0 0 0 0\nintr 1 2\n`;
const DISK = (name: string, busy: number) =>
  `   8       0 ${name} 5 0 40 3 2 0 16 1 0 ${busy} 4 0 0 0 0 0 0\n`;
const SOCKETS = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:1F90 0100007F:A001 01 0000001F:00000000 01:00000014 00000000     0        0 3 1 0 20 4 30 10 -1
   3: 0100007F:1F90 0100007F:A002 01 00000000:00000400 00:00000000 00000000     0        0 4 1 0 20 4 30 10 -1
   4: 0100007F:1F90 0100007F:A003 06 00000000:00000400 03:00000014 00000000     0        0 0 3 0
`;

describe("the kernel's files", () => {
  it("say how long processors were busy: waiting for disks is not, guests count once, stolen time does", () => {
    expect(readCpuTime("cpu  10 1 2 100 50 3 4 5 9 1\ncpu0 1 2 3\n")).toEqual({ busy: 25, total: 175 });
    expect(readCpuTime("cpu  10 1 2 100\n")).toEqual({ busy: 13, total: 113 });
    expect(readCpuTime("intr 5\n")).toBeUndefined();
  });

  it("say how much memory could not be had", () => {
    expect(readMemoryUse("MemTotal:    1000 kB\nMemFree: 1 kB\nMemAvailable:     250 kB\n")).toBe(0.75);
    expect(readMemoryUse("MemTotal:    1000 kB\nMemFree: 1 kB\n")).toBeUndefined();
    expect(readMemoryUse("")).toBeUndefined();
  });

  it("say how long each disk was busy", () => {
    expect(readDiskTime(`${DISK("sda", 70)}${DISK("loop0", 0)}\n`)).toEqual(new Map([["sda", 70]]));
    expect(readDiskTime("")).toEqual(new Map());
  });

  it("say how long somebody waited", () => {
    const text =
      "some avg10=0.00 avg60=0.02 avg300=0.18 total=808\nfull avg10=0.00 avg60=0.00 avg300=0.02 total=329\n";
    expect(readPressure(text)).toBe(808);
    expect(readPressure("")).toBeUndefined();
  });

  it("say how many connections there are, wherever the column is", () => {
    expect(readConnections("Ip: A\nIp: 1\nTcp: X CurrEstab Y\nTcp: 1 7 2\nUdp: A\nUdp: 3\n")).toBe(7);
    expect(readConnections("Tcp: X Y\nTcp: 1 2\n")).toBeUndefined();
    expect(readConnections("")).toBeUndefined();
  });

  it("say which sockets have something to do, and what waits to be accepted", () => {
    expect(readSockets(SOCKETS)).toEqual({ active: 2, queued: 3 });
    expect(readSockets("")).toEqual({ active: 0, queued: 0 });
  });
});

describe("control groups", () => {
  const group = (files: Record<string, string>) =>
    readGroup("g", async (path) => files[path.slice("g/".length)]);

  it("are found from the own one up", () => {
    expect(groupFolders("1:cpu:/x\n0::/system.slice/app.service\n")).toEqual([
      "system.slice/app.service",
      "system.slice",
      "",
    ]);
    expect(groupFolders("0::/\n")).toEqual([""]);
    expect(groupFolders("0::/../other\n")).toEqual(["other", ""]);
    expect(groupFolders("4:memory:/x\n")).toEqual([]);
  });

  it("have used so much of their limits, where they have any", async () => {
    const used = {
      "memory.current": "900\n",
      "memory.stat": "anon 5\ninactive_file 400\n",
      "cpu.stat": "usage_usec 77\n",
    };
    expect(await group({ ...used, "memory.max": "1000\n", "cpu.max": "150000 100000\n" })).toEqual({
      memory: 0.5,
      cpu: { micros: 77, processors: 1.5 },
    });
    const none = { memory: undefined, cpu: undefined };
    expect(await group({ ...used, "memory.max": "max\n", "cpu.max": "max 100000\n" })).toEqual(none);
    expect(await group(used)).toEqual(none);
    expect(await group({ "memory.max": "1000\n", "cpu.max": "150000 100000\n" })).toEqual(none);
  });
});

describe("an agent", () => {
  let folder: string;
  let now = 0;
  let sampler: Sampler;
  const write = (files: Record<string, string>) => {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "longsplice-agent-"));
    now = 1000;
    sampler = new Sampler({ proc: join(folder, "proc"), cgroup: join(folder, "cgroup") }, () => now);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("has figures at once, and shares of time from the second reading on", async () => {
    write({
      "proc/stat": STAT(100, 900),
      "proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 600 kB\n",
      "proc/diskstats": DISK("sda", 50) + DISK("sdb", 10),
      "proc/pressure/io": "some avg10=0 total=1000\n",
      "proc/self/net/snmp": "Tcp: CurrEstab\nTcp: 4\n",
      "proc/self/net/tcp": SOCKETS,
      "proc/self/net/tcp6": SOCKETS,
    });
    await sampler.sample();
    expect(sampler.figures).toEqual({ memory: 0.4, tcpConnections: 4, activeSockets: 4, queue: 6 });
    now += 1000;
    write({
      "proc/stat": STAT(125, 975),
      "proc/diskstats": DISK("sda", 150) + DISK("sdb", 410) + DISK("new", 9999),
    });
    await sampler.sample();
    expect(sampler.figures).toMatchObject({ cpu: 0.25, io: 0.4 });
  });

  it("takes waiting for what is no disk for input and output, too", async () => {
    write({ "proc/pressure/io": "some total=0\n", "proc/diskstats": DISK("sda", 100) });
    await sampler.sample();
    now += 500;
    write({ "proc/pressure/io": "some total=300000\n", "proc/diskstats": DISK("sda", 200) });
    await sampler.sample();
    expect(sampler.figures).toEqual({ io: 0.6 });
  });

  it("reads sockets less often when that takes long", async () => {
    const times = [0, 0, 10, 500, 500, 999, 999, 1000, 1000, 1000];
    sampler = new Sampler({ proc: join(folder, "proc"), cgroup: folder }, () => times.shift() ?? 0);
    const seen: unknown[] = [];
    for (const queued of [1, 2, 3, 4]) {
      write({ "proc/self/net/tcp": SOCKETS.replace("00000003", `0000000${queued}`) });
      await sampler.sample();
      seen.push(sampler.figures.queue);
    }
    // The first took 10 ms, from 0 on, and the next may be at 1000.
    expect(seen).toEqual([1, 1, 1, 4]);
  });

  it("goes by the scarcest of what the machine and its control groups may use", async () => {
    const limits = (usage: number) => ({
      "cgroup/pod/app/cpu.max": "max 100000\n",
      "cgroup/pod/app/cpu.stat": `usage_usec ${usage}\n`,
      "cgroup/pod/cpu.max": "50000 100000\n",
      "cgroup/pod/cpu.stat": `usage_usec ${usage}\n`,
      "cgroup/pod/app/memory.max": "100\n",
      "cgroup/pod/app/memory.current": "90\n",
    });
    write({
      "proc/stat": STAT(0, 0),
      "proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 600 kB\n",
      "proc/self/cgroup": "0::/pod/app\n",
      ...limits(0),
    });
    await sampler.sample();
    now += 1000;
    write({ "proc/stat": STAT(10, 90), ...limits(400_000) });
    await sampler.sample();
    expect(sampler.figures).toEqual({ cpu: 0.8, memory: 0.9 });
  });

  it("leaves out what the kernel does not tell, and what makes no sense", async () => {
    await sampler.sample();
    await sampler.sample();
    expect(sampler.figures).toEqual({});
    write({ "proc/stat": STAT(100, 100), "proc/diskstats": DISK("sda", 500) });
    await sampler.sample();
    now += 1000;
    write({ "proc/stat": STAT(50, 50), "proc/diskstats": DISK("sda", 10) });
    await sampler.sample();
    expect(sampler.figures).toEqual({});
  });
});
