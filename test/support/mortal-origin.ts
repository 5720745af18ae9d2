/**
 * An origin in a process of its own, which a test can stop and kill. It says who it is and what it was asked:
 * `NAME METHOD TARGET`. In the query: `delay=MS` before the answer, `chunked`, `half` (half of the body, then it dies),
 * `die` (before the answer, if it is called A), and `ill` (every second time that this is asked the answer is 503).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, onTestFinished } from "vitest";

const PROGRAM = `
const [name, port] = process.argv.slice(1);
let asked = 0;
require("node:http").createServer((request, response) => {
  request.resume().on("end", () => {
    const query = new URL(request.url, "http://x").searchParams;
    const text = [name, request.method, request.url].join(" ");
    const die = () => process.kill(process.pid, "SIGKILL");
    if (query.has("die") && name === "A") return setTimeout(die, 20);
    if (query.has("half")) {
      response.setHeader("content-length", 1000);
      response.write("x".repeat(500), () => setTimeout(die, 50));
      return;
    }
    if (query.has("ill")) response.statusCode = ++asked % 2 === 0 ? 503 : 200;
    if (!query.has("chunked")) response.setHeader("content-length", text.length);
    setTimeout(() => response.end(text), Number(query.get("delay") ?? 0));
  });
}).listen(Number(port), "127.0.0.1", () => console.log("ready")).keepAliveTimeout = 60_000;
`;

export class MortalOrigin {
  private constructor(
    readonly address: string,
    private readonly child: ChildProcess,
  ) {}

  /** For the running test. */
  static async start(name: string, port: number): Promise<MortalOrigin> {
    const origin = MortalOrigin.#spawn(name, port);
    onTestFinished(() => void origin.child.kill("SIGKILL"));
    return origin.#ready();
  }

  /** For all tests of the block. */
  static use(name: string, port: number): void {
    let origin: MortalOrigin | undefined;
    beforeAll(async () => {
      origin = MortalOrigin.#spawn(name, port);
      await origin.#ready();
    });
    afterAll(() => origin?.kill());
  }

  static #spawn(name: string, port: number): MortalOrigin {
    const child = spawn(process.execPath, ["-e", PROGRAM, name, String(port)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    return new MortalOrigin(`127.0.0.1:${port}`, child);
  }

  async #ready(): Promise<this> {
    await once(this.child.stdout!, "data");
    return this;
  }

  async kill(): Promise<void> {
    const ended = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await ended;
  }

  /** Its kernel still takes what comes; nobody answers. */
  freeze(): void {
    this.child.kill("SIGSTOP");
  }
}
