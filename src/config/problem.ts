import { type ErrorCode, LongspliceError } from "../errors/index.js";
import { showWord } from "./show.js";

/** A place in a configuration file, both numbers from 1. Line 0: `file` is a command-line option instead. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Something that may be intended but probably is not; the configuration is used all the same. */
export interface Warning extends Place {
  readonly message: string;
}

/** One thing that is wrong with a configuration. */
export interface Problem extends Place {
  readonly code: ErrorCode;
  /** What is wrong and what was expected, in one line. */
  readonly message: string;
}

/** The keys and indexes that lead from the root of a configuration to a value. */
export type Path = readonly PropertyKey[];

/** A problem before it is known where in the text it is. */
export interface Issue {
  readonly path: Path;
  /** Which end of the last step is to blame. */
  readonly part: "key" | "value";
  readonly code: ErrorCode;
  readonly message: string;
}

/** A value that cannot be read; its message says what was expected. */
export class InvalidValue extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** A configuration that was refused, with everything that is wrong with it (at least one problem). */
export class ConfigError extends LongspliceError {
  override readonly name = "ConfigError";

  constructor(readonly problems: readonly Problem[]) {
    const [first] = problems;
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
    super("LS_CONFIG_INVALID", first === undefined ? "" : formatPlace(first) + more);
  }
}

/** `FILE:LINE:COLUMN: what is wrong, what was expected [CODE]`; for a command-line option `--option: ...`. */
export function formatProblem(problem: Problem): string {
  return `${formatPlace(problem)} [${problem.code}]`;
}

/** `FILE:LINE:COLUMN: warning: what is odd`. */
export function formatWarning(warning: Warning): string {
  return formatPlace({ ...warning, message: `warning: ${warning.message}` });
}

function formatPlace({ file, line, column, message }: Warning): string {
  return line === 0 ? `${file}: ${message}` : `${file}:${line}:${column}: ${message}`;
}

/** A path as people write it, in one line: `routes[0].match.path`; the root is the empty text. */
export function formatPath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else text += `${text === "" ? "" : "."}${showWord(String(step))}`;
  }
  return text;
}
