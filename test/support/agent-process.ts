/** `longsplice agent` as its users run it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { onTestFinished } from "vitest";
import { BIN, portOf } from "./proxy.js";
import { PATIENCE_MS, START_MS, within } from "./wait.js";

export class AgentProcess {
  private constructor(
    private readonly child: ChildProcess,
    /** What it says when it is ready. */
    readonly ready: { readonly listeners: readonly string[]; readonly agentCheck: string | null },
  ) {}

  /** Starts one for the running test, on a free port unless told otherwise. */
  static async start(port = 0): Promise<AgentProcess> {
    const listen = ["--listen", `127.0.0.1:${port}`, "--agent-check", "127.0.0.1:0"];
    const child = spawn(process.execPath, [BIN, "agent", ...listen], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const line = new Promise<string>((resolve) =>
      createInterface({ input: child.stdout! }).once("line", resolve),
    );
    return new AgentProcess(child, JSON.parse(await within(line, START_MS, "the agent's ready line")));
  }

  get port(): number {
    return portOf(this.ready.listeners[0]!);
  }

  get agentCheckPort(): number {
    return portOf(this.ready.agentCheck!);
  }

  /** SIGTERM; resolves with the exit code. */
  async stop(): Promise<number | null> {
    const exit = new Promise<number | null>((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGTERM");
    return within(exit, PATIENCE_MS, "the agent's exit after SIGTERM");
  }
}
