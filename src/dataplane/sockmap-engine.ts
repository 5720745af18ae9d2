import { LongspliceError } from "../errors/index.js";
import { loadAddon, type SockmapEngineResult } from "./native.js";

type Unusable = Exclude<SockmapEngineResult, { status: "usable" }>;

/**
 * Loads the program of the sockmap engine for all workers of the process, when it has proved itself. To be called before the
 * first of them is made.
 * @throws LongspliceError LS_ENGINE_UNAVAILABLE with the reason
 */
export function openSockmapEngine(): void {
  const result = loadAddon().openSockmapEngine();
  if (result.status === "usable") return;
  const { reason, remedy } = explainSockmap(result);
  throw new LongspliceError("LS_ENGINE_UNAVAILABLE", `sockmap: ${reason}`, { remedy });
}

/** To be called when the last worker has ended. */
export function closeSockmapEngine(): void {
  loadAddon().closeSockmapEngine();
}

/** Why the sockmap engine cannot be used, and what the user can do about it. */
export function explainSockmap(result: Unusable): { readonly reason: string; readonly remedy: string } {
  switch (result.status) {
    case "unsupported":
      return { reason: result.detail, remedy: `It needs ${result.needs}; use engine: copy on this kernel.` };
    case "denied":
      return {
        reason: result.detail,
        remedy: `It needs ${result.needs}; under systemd, AmbientCapabilities= gives capabilities.`,
      };
    case "unreliable":
      return {
        reason: `this kernel failed the self-test: ${result.detail}`,
        remedy: "Use engine: copy on this kernel; later ones may have the repair.",
      };
    case "failed":
      return {
        reason: result.detail,
        remedy: "Report it with the output of `longsplice doctor`, and use engine: copy.",
      };
    case "not-built":
      return {
        reason: result.detail,
        remedy:
          "Install clang-14 and libbpf-dev (Debian's names), then run `npm run build`; as root that installs them.",
      };
  }
}
