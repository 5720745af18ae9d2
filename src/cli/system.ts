import { readFileSync } from "node:fs";
import { builtinPolicies } from "../../policies/index.js";
import type { AgentOptions } from "../agent/index.js";
import type { ConfigDeps, KnownPolicies } from "../config/index.js";
import type { DoctorReport } from "../dataplane/probe.js";
import { loadPlugins } from "../policy/loader.js";
import { issuePath, PolicyRegistry, validateOptions } from "../policy/registry.js";
import { tryPolicy } from "../policy/trial.js";
import type { RunOptions } from "../server/index.js";

/** A stream of text for people or scripts. */
export interface Output {
  write(text: string): void;
  readonly isTTY?: boolean | undefined;
}

/** What the commands do their work with; tests put something else in its place. */
export interface CliSystem {
  readonly stdout: Output;
  readonly stderr: Output;
  /** What checking a configuration needs. Only `regexError` needs the addon, and throws LS_ADDON_MISSING. */
  configDeps(): Promise<ConfigDeps>;
  /** Serves until a signal ends it; the exit code. */
  runServer(options: RunOptions): Promise<number>;
  /** Tells how busy this machine is until a signal ends it; the exit code. */
  runAgent(options: AgentOptions): Promise<number>;
  /** What this machine can do. */
  probe(): Promise<DoctorReport>;
}

/**
 * The real thing. The data plane and the server are imported when they are needed: `--help`, `version` and `doctor`
 * must work where the addon does not.
 */
export const system: CliSystem = {
  stdout: process.stdout,
  stderr: process.stderr,
  configDeps: async () => {
    const { loadAddon } = await import("../dataplane/index.js");
    return { loadPolicies, interfaces, regexError: (pattern) => loadAddon().regexError(pattern) };
  },
  runServer: async (options) => (await import("../server/index.js")).runServer(options),
  runAgent: async (options) => (await import("../agent/index.js")).runAgent(options),
  probe: async () => (await import("../dataplane/probe.js")).probe(),
};

/** Also those that are down or have no address, which `os.networkInterfaces()` leaves out. */
function interfaces(): string[] {
  const lines = readFileSync("/proc/net/dev", "utf8").split("\n");
  return lines.flatMap((line) => /^ *([^ :|]+):/.exec(line)?.[1] ?? []);
}

/** The built-in policies and those of the user's files, for the check of names and options. Rejects with LS_POLICY_*. */
export async function loadPolicies(files: readonly string[]): Promise<KnownPolicies> {
  const reserved = builtinPolicies.map(({ name }) => name);
  const registry = new PolicyRegistry(builtinPolicies, await loadPlugins(files, reserved));
  return {
    names: registry.names,
    traitsOf: (chain) => registry.traitsOf(chain),
    headersFor: (chain) => registry.headersFor(chain),
    refusals: (trial) => tryPolicy(registry, trial),
    sharedBytes: (name, options) => registry.sharedBytes(name, options),
    check: (name, options) => {
      const module = registry.get(name);
      const issues = module === undefined ? [] : (validateOptions(module, options).issues ?? []);
      return issues.map((issue) => ({ path: issuePath(issue), message: issue.message }));
    },
  };
}
