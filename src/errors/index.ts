import { type ErrorCode, type ErrorEntry, errorCatalog } from "./catalog.js";

export { type ErrorCode, type ErrorEntry, errorCatalog } from "./catalog.js";

/** What a LongspliceError may carry besides code and detail. */
export interface LongspliceErrorOptions {
  /** The error that led to this one. */
  readonly cause?: unknown;
  /** Better advice than the catalog's, when the place knows more. */
  readonly remedy?: string;
}

/** An error that a user may meet: it has a code from the closed list, and says what to do. */
export class LongspliceError extends Error {
  override readonly name: string = "LongspliceError";
  readonly code: ErrorCode;
  /** What the user can do about it; a sentence. */
  readonly remedy: string;

  /** @param detail the particulars, for example which address or file; the catalog's summary comes before it */
  constructor(code: ErrorCode, detail: string, options: LongspliceErrorOptions = {}) {
    const entry: ErrorEntry = errorCatalog[code];
    super(
      detail === "" ? entry.summary : `${entry.summary}: ${detail}`,
      options.cause === undefined ? {} : { cause: options.cause },
    );
    this.code = code;
    this.remedy = options.remedy ?? entry.remedy;
  }
}

/** One that a worker thread ended with arrives without its class, but with all that is its own. */
function isOurs(error: unknown): error is LongspliceError {
  const { code } = (error ?? {}) as Partial<LongspliceError>;
  return error instanceof Error && code !== undefined && code in errorCatalog;
}

/** The exit code of a process that an error ended: the catalog's, 70 for anything that is not ours. */
export function exitCodeOf(error: unknown): 1 | 2 | 70 {
  return isOurs(error) ? errorCatalog[error.code].exit : errorCatalog.LS_INTERNAL.exit;
}

/** What a terminal shows for an error: message, remedy and code; the stack only where it is a bug. */
export function describeError(error: unknown): string {
  if (isOurs(error)) return `${error.message}\n  ${error.remedy} [${error.code}]`;
  const { summary, remedy } = errorCatalog.LS_INTERNAL;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `${summary}: ${text}\n  ${remedy} [LS_INTERNAL]`;
}
