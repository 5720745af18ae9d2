import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { OriginCommand, OriginReport } from "./origin-protocol.js";
import { PATIENCE_MS, START_MS, within } from "./wait.js";

/** An origin that can be killed; see `origin-program.ts` for what it answers. */
export class OriginProcess {
  readonly name: string;
  readonly host: string;
  readonly #child: ChildProcess;
  #port = 0;

  private constructor(name: string, host: string, port: number) {
    this.name = name;
    this.host = host;
    const program = fileURLToPath(new URL("./origin-program.ts", import.meta.url));
    this.#child = fork(program, [name, host, String(port)], {
      execArgv: ["--import", "tsx"],
      cwd: fileURLToPath(new URL("../..", import.meta.url)),
    });
  }

  /** Started for the running test, ended with it. All of 127.0.0.0/8 is this host; port 0 is a free one. */
  static async start(name: string, host = "127.0.0.1", port = 0): Promise<OriginProcess> {
    const origin = new OriginProcess(name, host, port);
    onTestFinished(() => origin.kill());
    origin.#port = (await origin.#report("listening", START_MS)).port;
    return origin;
  }

  get address(): string {
    return `${this.host}:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** kill -9. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Closes the connections on which no request runs. */
  async closeIdle(): Promise<void> {
    await this.#ask("close-idle", "closed");
  }

  /** The numbers of all requests that arrived completely. */
  async seen(): Promise<number[]> {
    return (await this.#ask("seen", "seen")).numbers;
  }

  #ask<K extends OriginReport["kind"]>(command: OriginCommand, kind: K) {
    const answer = this.#report(kind, PATIENCE_MS);
    this.#child.send(command);
    return answer;
  }

  #report<K extends OriginReport["kind"]>(kind: K, ms: number): Promise<Extract<OriginReport, { kind: K }>> {
    const message = new Promise<Extract<OriginReport, { kind: K }>>((resolve, reject) => {
      const onMessage = (report: OriginReport) => {
        if (report.kind !== kind) return;
        this.#child.off("message", onMessage);
        resolve(report as Extract<OriginReport, { kind: K }>);
      };
      this.#child.on("message", onMessage);
      this.#child.once("exit", (code) => reject(new Error(`origin ${this.name} ended with ${code}`)));
    });
    return within(message, ms, `origin ${this.name}: ${kind}`);
  }
}
