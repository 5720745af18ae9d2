import { CommanderError } from "commander";
import { ConfigError, formatProblem } from "../config/index.js";
import { describeError, exitCodeOf, LongspliceError } from "../errors/index.js";
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
  } catch (thrown) {
    // Help and version end here too; help that nobody asked for is the answer to no command.
    if (thrown instanceof CommanderError && (thrown.exitCode === 0 || thrown.code === "commander.help")) {
      return thrown.exitCode;
    }
    const error = thrown instanceof CommanderError ? argumentsError(thrown) : thrown;
    const lines = error instanceof ConfigError ? error.problems.map(formatProblem) : [describeError(error)];
    for (const line of lines) system.stderr.write(`${line}\n`);
    return exitCodeOf(error);
  }
}

function argumentsError({ message }: CommanderError): LongspliceError {
  return new LongspliceError("LS_CLI_ARGUMENTS", message.replace(/^error: /, ""));
}
