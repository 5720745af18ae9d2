import { resolve } from "node:path";
import type { Path } from "./problem.js";
import type { Source } from "./source.js";

/** What the command line says about the configuration: raw texts, checked by the same schema as a file. */
export interface ConfigFlags {
  readonly listen?: readonly string[];
  readonly backend?: readonly string[];
  readonly policy?: string;
  readonly engine?: string;
  readonly forward?: string;
  readonly workers?: string;
  readonly admin?: string;
  readonly logLevel?: string;
  readonly accessLog?: string;
}

/** The pool that `--backend` fills. */
const FLAG_POOL = "default";

interface Entry {
  readonly flag: string;
  readonly path: Path;
  readonly value: unknown;
}

/** A configuration without a file: what `--listen` and `--backend` describe, to be completed by `overlay`. */
export function sourceOfFlags(flags: ConfigFlags): Source {
  const address = (text: string) => ({ address: absolute(text) });
  const pool = {
    backends: (flags.backend ?? []).map(address),
    ...(flags.policy === undefined ? {} : { policy: flags.policy }),
  };
  const entries: Entry[] = [
    { flag: "--listen", path: ["listeners"], value: (flags.listen ?? []).map(address) },
    { flag: "--backend", path: ["pools"], value: { [FLAG_POOL]: pool } },
    { flag: "--policy", path: ["pools", FLAG_POOL, "policy"], value: flags.policy },
  ];
  const empty: Source = {
    name: "command line",
    value: { routes: [{ pool: FLAG_POOL }] },
    problems: [],
    readable: true,
    place: () => ({ file: "command line", line: 0, column: 0 }),
  };
  return overlay(entries.reduce(applied, empty), flags);
}

/** A source in which the options of the command line win over what it says itself. */
export function overlay(source: Source, flags: ConfigFlags): Source {
  const workers = flags.workers;
  const entries: Entry[] = [
    { flag: "--engine", path: ["engine"], value: flags.engine },
    { flag: "--forward", path: ["forward"], value: flags.forward },
    { flag: "--admin", path: ["admin", "address"], value: flags.admin && absolute(flags.admin) },
    { flag: "--log-level", path: ["logLevel"], value: flags.logLevel },
    { flag: "--access-log", path: ["accessLog"], value: flags.accessLog },
    {
      flag: "--workers",
      path: ["workers"],
      value: workers !== undefined && /^\d+$/.test(workers) ? Number(workers) : workers,
    },
  ];
  return entries.reduce(applied, source);
}

/** A relative path in a file is relative to the file, one on the command line to where the command runs. */
function absolute(address: string): string {
  const path = /^unix:(.+)$/s.exec(address)?.[1];
  return path === undefined ? address : `unix:${resolve(path)}`;
}

/** The source with one more entry; an entry without a value changes nothing. */
function applied(source: Source, { flag, path, value }: Entry): Source {
  if (value === undefined) return source;
  return {
    ...source,
    value: withValue(source.value, path, value),
    place: (wanted, part) =>
      path.every((step, index) => wanted[index] === step)
        ? { file: flag, line: 0, column: 0 }
        : source.place(wanted, part),
  };
}

/** A copy of plain data with one value replaced. What is no mapping on the way there stays: the schema refuses it. */
function withValue(data: unknown, [step, ...rest]: Path, value: unknown): unknown {
  if (step === undefined) return value;
  if (typeof (data ?? {}) !== "object" || Array.isArray(data)) return data;
  const fields = (data ?? {}) as Record<PropertyKey, unknown>;
  return { ...fields, [step]: withValue(fields[step], rest, value) };
}
