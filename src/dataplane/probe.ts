import { readFileSync } from "node:fs";
import { release } from "node:os";
import { LongspliceError } from "../errors/index.js";
import { loadAddon } from "./native.js";
import { explainUnusable } from "./packet-engine.js";
import { explainObstacle } from "./pipe-engine.js";
import { explainSockmap } from "./sockmap-engine.js";

/** Whether an engine can be used here, or why not and what would help. */
export interface EngineReport {
  readonly name: string;
  readonly usable: boolean;
  /** By which hooks of the kernel the packet engine attaches. */
  readonly hooks?: "tcx" | "clsact";
  readonly reason?: string;
  readonly remedy?: string;
}

/** What `longsplice doctor` found out about this machine. */
export interface DoctorReport {
  readonly node: string;
  readonly kernel: string;
  readonly arch: string;
  readonly addon: { readonly ok: boolean; readonly detail: string };
  readonly engines: readonly EngineReport[];
  readonly capabilities: readonly { readonly name: string; readonly held: boolean }[];
  readonly limits: readonly { readonly name: string; readonly value: string; readonly advice?: string }[];
}

/** Bit numbers of linux/capability.h that the packet engine and low ports need. */
const CAPABILITIES = {
  CAP_NET_BIND_SERVICE: 10,
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_SYS_ADMIN: 21,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;

/** Two sockets per connection: fewer descriptors than this end at a few hundred clients. */
const COMFORTABLE_FILES = 16_384;

/** Looks at the addon, the kernel, this process's rights and its limits. Never throws. */
export function probe(): DoctorReport {
  const addon = probeAddon();
  return {
    node: process.version,
    kernel: release(),
    arch: process.arch,
    addon: { ok: addon.ok, detail: addon.detail },
    engines: engines(addon),
    capabilities: capabilities(),
    limits: limits(),
  };
}

interface AddonFinding {
  readonly ok: boolean;
  readonly detail: string;
  readonly remedy?: string;
}

function probeAddon(): AddonFinding {
  try {
    loadAddon();
    return { ok: true, detail: `loaded, with the llhttp ${process.versions.llhttp} of this node` };
  } catch (error) {
    if (error instanceof LongspliceError) return { ok: false, detail: error.message, remedy: error.remedy };
    return { ok: false, detail: String(error) };
  }
}

function engines(addon: AddonFinding): EngineReport[] {
  if (addon.ok) return [{ name: "copy", usable: true }, pipe(), sockmap(), packet()];
  const unusable = (name: string): EngineReport => ({
    name,
    usable: false,
    reason: "the native addon cannot be loaded",
    ...(addon.remedy === undefined ? {} : { remedy: addon.remedy }),
  });
  return ["copy", "pipe", "sockmap", "packet"].map(unusable);
}

function pipe(): EngineReport {
  const obstacle = loadAddon().probePipeEngine();
  return obstacle === null
    ? { name: "pipe", usable: true }
    : { name: "pipe", usable: false, ...explainObstacle(obstacle) };
}

function sockmap(): EngineReport {
  const result = loadAddon().probeSockmapEngine();
  return result.status === "usable"
    ? { name: "sockmap", usable: true }
    : { name: "sockmap", usable: false, ...explainSockmap(result) };
}

function packet(): EngineReport {
  const result = loadAddon().probePacketEngine();
  return result.status === "loaded"
    ? { name: "packet", usable: true, hooks: result.hooks }
    : { name: "packet", usable: false, ...explainUnusable(result) };
}

function capabilities(): DoctorReport["capabilities"] {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(read("/proc/self/status"));
  const effective = BigInt(`0x${line?.[1] ?? "0"}`);
  return Object.entries(CAPABILITIES).map(([name, bit]) => ({
    name,
    held: ((effective >> BigInt(bit)) & 1n) === 1n,
  }));
}

function limits(): DoctorReport["limits"] {
  const files = /^Max open files\s+(\S+)/m.exec(read("/proc/self/limits"))?.[1] ?? "unknown";
  const few = Number(files) < COMFORTABLE_FILES;
  return [
    {
      name: "open files",
      value: files,
      ...(few ? { advice: `raise it (ulimit -n ${COMFORTABLE_FILES}): a proxied connection needs two` } : {}),
    },
    { name: "listen backlog (net.core.somaxconn)", value: read("/proc/sys/net/core/somaxconn") },
    {
      name: "local ports (net.ipv4.ip_local_port_range)",
      value: read("/proc/sys/net/ipv4/ip_local_port_range").replace(/\s+/, " to "),
    },
  ];
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "unknown";
  }
}
