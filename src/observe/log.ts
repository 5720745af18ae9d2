import type { Level, LevelWithSilent, Logger } from "pino";
import { pino, stdTimeFunctions } from "pino";
import { LineSink } from "./line-sink.js";

export type { Logger } from "pino";
/** Least severe level that is still written; `silent` writes nothing but the ready line. */
export type LogLevel = LevelWithSilent;

/** Everything that the process says: diagnostics, the ready line and the access log, on one output. */
export interface Log {
  /** Diagnostics: one JSON object a line, `{"level":"info","time":"<ISO 8601>",...,"msg":"..."}`. */
  readonly logger: Logger;
  /**
   * The line of the contract, to be called once, when every listener accepts. It is written at every log level,
   * because programs wait for it.
   * @param admin the address of the admin server, or null without one
   */
  ready(listeners: readonly string[], admin: string | null): void;
  /** Appends access-log lines that are already formatted; the chunk must end with a newline and is given away. */
  writeAccess(chunk: string | Uint8Array): void;
  /** Lines lost because the reader of the output was too slow or went away. */
  dropped(): number;
  /** Writes out what is queued, for at most a moment: a reader that hangs must not keep the process from ending. */
  close(): void;
}

/**
 * Creates the log of the process.
 * @param destination where lines go; standard output unless a test says otherwise
 */
export function createLog(level: LogLevel, destination: LineSink = new LineSink(1)): Log {
  const logger = pino(
    {
      level,
      // One process writes this stream, and collectors add pid and host themselves.
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
  const announce = logger.child({}, { level: "info" satisfies Level });
  // process.exit() skips the event loop turn in which queued lines would be written.
  process.once("exit", () => destination.flushSync());
  return {
    logger,
    ready: (listeners, admin) => announce.info({ listeners, admin }, "ready"),
    writeAccess: (chunk) => destination.write(chunk),
    dropped: () => destination.dropped,
    close: () => destination.close(),
  };
}
