import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { within } from "./wait.js";

/** Many clients that trickle their heads; see `hostile-trickle-program.ts`. */
export class TrickleProcess {
  readonly #child: ChildProcess;

  private constructor(port: number, count: number) {
    const program = fileURLToPath(new URL("./hostile-trickle-program.ts", import.meta.url));
    this.#child = fork(program, [String(port), String(count)], {
      execArgv: ["--import", "tsx"],
      cwd: fileURLToPath(new URL("../..", import.meta.url)),
    });
  }

  /** Resolves when all of them are connected. They end with the running test at the latest. */
  static async start(port: number, count: number): Promise<TrickleProcess> {
    const process = new TrickleProcess(port, count);
    onTestFinished(() => process.stop());
    const allOpen = new Promise((resolve) => process.#child.once("message", resolve));
    await within(allOpen, 60_000, `${count} trickling clients`);
    return process;
  }

  /** Ends all connections at once. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }
}
