import { LongspliceError } from "../errors/index.js";
import {
  loadAddon,
  type PacketEngineOptions,
  type PacketEngineResult,
  type PacketInterfaces,
  type PacketLastWords,
} from "./native.js";

type Loaded = Extract<PacketEngineResult, { status: "loaded" }>;
type Unusable = Exclude<PacketEngineResult, Loaded>;

/**
 * Loads the programs of the packet engine and attaches them, for all workers of the process. To be called before the first
 * of them is made.
 * @throws LongspliceError LS_ENGINE_UNAVAILABLE with the reason, when it cannot be used; then nothing is attached
 */
export function openPacketEngine(options: PacketEngineOptions): Loaded {
  const result = loadAddon().openPacketEngine(options);
  if (result.status === "loaded") return result;
  const { reason, remedy } = explainUnusable(result);
  throw new LongspliceError("LS_ENGINE_UNAVAILABLE", `packet: ${reason}`, { remedy });
}

/** Attaches to interfaces that are new, and forgets those that are gone. */
export function refreshPacketEngine(): PacketInterfaces {
  return loadAddon().refreshPacketEngine();
}

/** What became of packets since the engine was opened: counts by the names of LS_COUNTERS in native/bpf/include/abi.h. */
export function packetCounters(): Readonly<Record<string, number>> {
  return loadAddon().packetCounters();
}

/** What parked sockets that are closed wait for; null where the kernel does not say. */
export function packetLastWords(): PacketLastWords | null {
  return loadAddon().packetLastWords();
}

/** Detaches and unloads. To be called when the last worker has ended. */
export function closePacketEngine(): void {
  loadAddon().closePacketEngine();
}

/** Why the packet engine cannot be used, and what the user can do about it. */
export function explainUnusable(result: Unusable): { readonly reason: string; readonly remedy: string } {
  return { reason: result.detail, remedy: remedyFor(result) };
}

function remedyFor(result: Unusable): string {
  switch (result.status) {
    case "unsupported":
      return `It needs Linux ${result.kernel} or newer; use engine: copy on this one.`;
    case "denied":
      return `It needs ${result.capability}; under systemd, AmbientCapabilities= gives capabilities.`;
    case "failed":
      return "Correct `interfaces` if this names one of them; otherwise report it with the output of `longsplice doctor`.";
    case "not-built":
      return "Install clang-14 and libbpf-dev (Debian's names), then run `npm run build`; as root that installs them.";
  }
}
