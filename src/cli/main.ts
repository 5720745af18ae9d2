import { CommanderError } from "commander";
import { ConfigError, formatProblem } from "../config/index.js";
import { describeError, exitCodeOf } from "../errors/index.js";
import { createProgram } from "./program.js";
import { type CliSystem, system as realSystem } from "./system.js";

/**
 * Runs one command. Prints what went wrong on stderr; never rejects.
 *
 * @param args what stands behind the program's name
 * @returns the exit code: 0 fine, 1 bad configuration or arguments, 2 could not start, 70 internal error
 */
export async function main(args: readonly string[], system: CliSystem = realSystem): Promise<number> {
  let exitCode = 0;
  try {
    const program = createProgram(system, (code) => {
      exitCode = code;
    });
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    // The parser has printed its message already; help and version end here too, with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 1;
    const lines = error instanceof ConfigError ? error.problems.map(formatProblem) : [describeError(error)];
    for (const line of lines) system.stderr.write(`${line}\n`);
    return exitCodeOf(error);
  }
}
