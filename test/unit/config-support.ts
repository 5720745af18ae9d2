/** What the tests of the configuration share: a small valid file, and loading of texts as if they were files. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { loadPolicies } from "../../src/cli/system.js";
import {
  type ConfigDeps,
  ConfigError,
  type ConfigFlags,
  formatProblem,
  type LoadedConfig,
  loadConfig,
} from "../../src/config/index.js";

/** The real policies, two interfaces, and one fact of regular expressions: an opening parenthesis alone is none. */
export const deps: ConfigDeps = {
  loadPolicies,
  regexError: (pattern) => (pattern === "(" ? "missing )" : null),
  interfaces: () => ["lo", "eth0"],
};

/** The lines of a small valid file, each replaceable: listeners in line 1, routes in 2, pools in 3, the rest behind. */
export function lines(
  parts: Partial<Record<"listeners" | "routes" | "pools" | "more", string>> = {},
): string {
  const {
    listeners = "listeners: [{ address: 127.0.0.1:8080 }]",
    routes = "routes: [{ pool: web }]",
    pools = "pools: { web: { backends: [{ address: 127.0.0.1:9001 }] } }",
    more = "",
  } = parts;
  return `${listeners}\n${routes}\n${pools}\n${more}`;
}

/** Writes a file that is gone when the test is over. */
export function fileWith(text: string | Uint8Array, name = "longsplice.yaml"): string {
  const folder = mkdtempSync(join(tmpdir(), "longsplice-config-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

export function load(text: string, flags: ConfigFlags = {}): Promise<LoadedConfig> {
  return loadConfig(fileWith(text), deps, flags);
}

/** Every problem as it is printed, with the file's name alone; empty if there is none. */
export async function problemsOf(
  text: string | Uint8Array,
  options: { name?: string; flags?: ConfigFlags } = {},
): Promise<string[]> {
  const file = fileWith(text, options.name);
  const name = options.name ?? "longsplice.yaml";
  try {
    await loadConfig(file, deps, options.flags);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((problem) => formatProblem(problem).replace(file, name));
  }
}
