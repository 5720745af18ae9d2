import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { effectiveConfig } from "./effective.js";
import { type ConfigFlags, overlay, sourceOfFlags } from "./overlay.js";
import { policyTrials } from "./policy-trials.js";
import { ConfigError, type Issue, type Warning } from "./problem.js";
import { checkRules, findOddities, type KnownPolicies, policyLoadIssue } from "./rules.js";
import { checkSchema } from "./schema-issues.js";
import { locate, parseSource, type Source } from "./source.js";
import type { Config } from "./types.js";

/** What loading a configuration needs from other parts. */
export interface ConfigDeps {
  /** The built-in policies and those in these files (absolute, `*` in the last part); rejects with LS_POLICY_*. */
  loadPolicies(files: readonly string[]): Promise<KnownPolicies>;
  /** What the data plane's regular expressions say about a pattern: what is wrong, or null. */
  regexError(pattern: string): string | null;
  /** The names of this machine's network interfaces. */
  interfaces(): readonly string[];
}

/** A configuration that can be used. */
export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly Warning[];
}

/**
 * Reads, checks and completes a configuration file; options of the command line win over what it says.
 *
 * @throws ConfigError with everything that is wrong
 */
export async function loadConfig(
  file: string,
  deps: ConfigDeps,
  flags: ConfigFlags = {},
): Promise<LoadedConfig> {
  const source = parseSource(file, await readText(file));
  return complete(overlay(source, flags), dirname(resolve(file)), deps);
}

/**
 * The configuration that the command line alone describes: one route, one pool.
 *
 * @throws ConfigError with everything that is wrong
 */
export async function configFromFlags(flags: ConfigFlags, deps: ConfigDeps): Promise<LoadedConfig> {
  return complete(sourceOfFlags(flags), process.cwd(), deps);
}

async function complete(source: Source, folder: string, deps: ConfigDeps): Promise<LoadedConfig> {
  if (!source.readable) throw new ConfigError(source.problems);
  const issues: Issue[] = [];
  const { file, issues: schemaIssues } = checkSchema(source.value);
  const policies = await deps.loadPolicies(policyFiles(source.value, folder)).catch((error: unknown) => {
    issues.push(policyLoadIssue(error));
    return undefined;
  });
  issues.push(...schemaIssues);
  issues.push(
    ...checkRules(source.value, {
      policies,
      regexError: (pattern) => deps.regexError(pattern),
      folder,
    }),
  );
  if (policies !== undefined) issues.push(...policyTrials(source.value, { policies, folder, issues }));
  const problems = [...source.problems, ...issues.map((issue) => locate(source, issue))];
  if (file === undefined || policies === undefined || problems.length > 0) {
    problems.sort((a, b) => a.line - b.line || a.column - b.column);
    throw new ConfigError(problems);
  }
  const oddities = findOddities(source.value, () => deps.interfaces());
  const warnings = oddities.map(({ path, part, message }) => ({ ...source.place(path, part), message }));
  return { config: effectiveConfig(file, folder, policies), warnings };
}

/** Plugins must be known before the schema's verdict, because pools may name their policies. */
function policyFiles(value: unknown, folder: string): string[] {
  const policies = (value as { policies?: unknown } | null)?.policies;
  const list = Array.isArray(policies) ? policies : [policies];
  return list
    .filter((path): path is string => typeof path === "string" && path !== "")
    .map((path) => resolve(folder, path));
}

async function readText(file: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(file));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : message;
    const problem = { file, line: 0, column: 0, code: "LS_CONFIG_READ" as const };
    throw new ConfigError([{ ...problem, message: `cannot be read: ${why}` }]);
  }
}
