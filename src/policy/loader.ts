import { readdir, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, extname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { LongspliceError } from "../errors/index.js";
import * as sdk from "./index.js";
import { messageOf } from "./thrown.js";
import { basisProblem, needsProblem } from "./traits.js";
import { POLICY_API_VERSION, type PolicyModule } from "./types.js";

type TsImport = typeof import("tsx/esm/api").tsImport;

const CODE_FILES = new Set([".ts", ".mts", ".cts", ".js", ".mjs", ".cjs"]);

/**
 * Where plugins find `longsplice/policy`, wherever they lie themselves. An explicit file also keeps a
 * tsconfig.json that happens to be in the current directory from changing how plugins are compiled.
 */
const PLUGIN_TSCONFIG = join(
  dirname(createRequire(import.meta.url).resolve("longsplice/package.json")),
  "tsconfig.plugins.json",
);

// For shared.ts, which plugins get for `longsplice/policy`.
Reflect.set(globalThis, Symbol.for("longsplice/policy"), sdk);

/** tsx's own variable for the same purpose. */
const TSX_TSCONFIG = "TSX_TSCONFIG_PATH";

/**
 * Loads users' policies: TypeScript as it is, or JavaScript, ESM or CommonJS. Every call reads the files
 * anew, so a reload sees what was edited. Works in worker threads.
 *
 * @param patterns absolute paths; `*` in the last part stands for any characters but not for a leading dot
 * @param reserved names that a plugin may not take (the built-in policies)
 * @throws LongspliceError LS_POLICY_NOT_FOUND (nothing there), LS_POLICY_LOAD (syntax error, failing import),
 *   LS_POLICY_SHAPE (not a policy module), LS_POLICY_NAME (name taken)
 */
export async function loadPlugins(
  patterns: readonly string[],
  reserved: readonly string[] = [],
): Promise<PolicyModule<unknown>[]> {
  const files = new Set((await Promise.all(patterns.map(expandPattern))).flat());
  const owners = new Map(reserved.map((name) => [name, "longsplice itself"]));
  const modules: PolicyModule<unknown>[] = [];
  for (const file of files) {
    for (const module of await loadFile(file)) {
      const owner = owners.get(module.name);
      if (owner !== undefined) {
        throw new LongspliceError("LS_POLICY_NAME", `${file}: "${module.name}" is taken by ${owner}`);
      }
      owners.set(module.name, file);
      modules.push(module);
    }
  }
  return modules;
}

/** The files that a pattern stands for, sorted by name, so that the order does not depend on the file system. */
async function expandPattern(pattern: string): Promise<string[]> {
  const name = basename(pattern);
  if (!name.includes("*")) {
    const found = await stat(pattern).catch(() => undefined);
    if (found?.isFile()) return [pattern];
    throw new LongspliceError("LS_POLICY_NOT_FOUND", `${pattern}: ${found ? "not a file" : "no such file"}`);
  }
  const folder = dirname(pattern);
  const matches = wildcard(name);
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: Error) => {
    throw new LongspliceError("LS_POLICY_NOT_FOUND", `${folder}: ${cause.message}`, { cause });
  });
  const files = entries
    .filter((entry) => !entry.isDirectory() && matches.test(entry.name))
    .map((entry) => entry.name);
  const plugins = files.filter(isPluginFile).sort();
  if (plugins.length === 0) {
    throw new LongspliceError("LS_POLICY_NOT_FOUND", `${pattern}: no TypeScript or JavaScript file matches`);
  }
  return plugins.map((file) => join(folder, file));
}

/** `*` in a file name: any characters, but like a shell's not a leading dot. */
function wildcard(name: string): RegExp {
  const parts = name.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^(?!\\.)${parts.join(".*")}$`);
}

/** Declarations and tests often lie beside plugins; `*.ts` means neither. */
function isPluginFile(file: string): boolean {
  return CODE_FILES.has(extname(file)) && !/\.(d|test|spec)\.[cm]?[jt]s$/.test(file);
}

async function loadFile(file: string): Promise<PolicyModule<unknown>[]> {
  // The compiler takes a tenth of the time to start, in every thread, and few have plugins.
  const { tsImport } = await import("tsx/esm/api");
  let namespace: unknown;
  try {
    namespace = await importFresh(tsImport, file);
  } catch (cause) {
    const detail = `${file}: ${messageOf(cause)}`;
    throw new LongspliceError("LS_POLICY_LOAD", detail, { cause });
  }
  const exported = defaultExport(namespace);
  const candidates = Array.isArray(exported) ? exported : [exported];
  if (candidates.length === 0) {
    throw new LongspliceError("LS_POLICY_SHAPE", `${file}: the default export is an empty array`);
  }
  for (const candidate of candidates) {
    const wrong = shapeProblem(candidate);
    if (wrong !== undefined) throw new LongspliceError("LS_POLICY_SHAPE", `${file}: ${wrong}`);
  }
  return candidates;
}

/**
 * A file outside of an ESM package is compiled to CommonJS, and arrives as `{ default: { default: ... } }`.
 * A policy module has no `default` of its own, so unwrapping cannot take anything away from one.
 */
function defaultExport(namespace: unknown): unknown {
  let value = namespace;
  for (let depth = 0; depth < 2; depth++) {
    if (typeof value === "object" && value !== null && "default" in value) value = value.default;
  }
  return value;
}

/**
 * Compiles and imports a file in a module graph of its own. Files that Node takes for CommonJS go another way
 * through tsx, which knows of the tsconfig from the environment only, and reads that before it returns.
 */
function importFresh(tsImport: TsImport, file: string): Promise<unknown> {
  const before = process.env[TSX_TSCONFIG];
  process.env[TSX_TSCONFIG] = PLUGIN_TSCONFIG;
  try {
    return tsImport(pathToFileURL(file).href, { parentURL: import.meta.url, tsconfig: PLUGIN_TSCONFIG });
  } finally {
    if (before === undefined) delete process.env[TSX_TSCONFIG];
    else process.env[TSX_TSCONFIG] = before;
  }
}

/** What keeps a value from being a policy module; undefined if nothing does. */
function shapeProblem(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || !("name" in value)) {
    return "the default export is not a policy module";
  }
  const module = value as Partial<PolicyModule<unknown>>;
  if (typeof module.name !== "string" || !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(module.name)) {
    return `name is ${JSON.stringify(module.name)}, expected lower-case words with hyphens`;
  }
  const at = `policy "${module.name}"`;
  if (module.apiVersion !== POLICY_API_VERSION) {
    return `${at}: apiVersion is ${JSON.stringify(module.apiVersion)}, this longsplice speaks ${POLICY_API_VERSION}`;
  }
  if (typeof module.options?.["~standard"]?.validate !== "function") {
    return `${at}: options is not a schema, expected one with ["~standard"].validate, for example z.object({})`;
  }
  // What a function makes of the options is looked at when there are options.
  const { needs, choosesBy = "request" } = module;
  const wrong =
    (typeof needs === "function" ? undefined : needsProblem(needs)) ??
    (typeof choosesBy === "function" ? undefined : basisProblem(choosesBy));
  if (wrong !== undefined) return `${at}: ${wrong}`;
  if (typeof module.create !== "function") return `${at}: create is not a function`;
  return undefined;
}
