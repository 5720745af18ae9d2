/** The program under test, run as its users run it: a process, a configuration file, and JSON lines on stdout. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { stringify } from "yaml";
import { type EngineName, engineFlags, linksRequests } from "./engines.js";
import { type ResponseMessage, readResponse } from "./message.js";
import { Samples } from "./prometheus.js";
import { eventually, PATIENCE_MS, START_MS, within } from "./wait.js";
import { WARM_UP_TARGET, warmUp } from "./warm-up.js";
import { type Bytes, Wire } from "./wire.js";

/** LONGSPLICE_BIN points the whole suite at another build, for instance an installed one. */
export const BIN =
  process.env.LONGSPLICE_BIN ?? fileURLToPath(new URL("../../bin/longsplice.js", import.meta.url));
/** What a stop may take beyond the drain time: closing, flushing, the exit of Node. */
const STOP_SLACK_MS = 20_000;

export interface ProxyOptions {
  engine?: EngineName;
  /** Short for one pool "main" with these backends and one route that takes everything. */
  backends?: readonly string[];
  /** Top-level keys of the configuration file; they win over the defaults of the tests. */
  config?: Record<string, unknown>;
  /** Only command-line flags, no configuration file. */
  flags?: readonly string[];
  /** Where clients of an engine that links make their first requests; false for tests in which these would count. */
  warmUp?: { target?: string; host?: string } | false;
}

export type LogLine = Record<string, unknown> & { msg?: string };

type ReadyLine = LogLine & { listeners: string[]; admin: string | null };

export class RunningProxy {
  readonly logs: LogLine[] = [];
  /** What is on stdout and is not JSON: the access log in the format `combined`. */
  readonly otherLines: string[] = [];
  stderr = "";
  readonly #describe: () => ProxyOptions;
  #options: ProxyOptions = {};
  #child: ChildProcess | undefined;
  #clients: Wire[] = [];
  #directory = "";
  #exited: Promise<number | null> = Promise.resolve(null);
  #ready: ReadyLine | undefined;

  /** The options are asked for at the start: the ports of origins are not known before. */
  constructor(describe: () => ProxyOptions) {
    this.#describe = describe;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** The addresses that accept, as the ready line names them. */
  get listeners(): readonly string[] {
    return this.#ready!.listeners;
  }

  get port(): number {
    return portOf(this.listeners[0]!);
  }

  get url(): string {
    return `http://${this.listeners[0]}`;
  }

  get adminUrl(): string {
    return `http://${this.#ready!.admin}`;
  }

  get configFile(): string {
    return join(this.#directory, "longsplice.yaml");
  }

  /** Resolves with the exit code, null after a signal. */
  get exited(): Promise<number | null> {
    return this.#exited;
  }

  async start(): Promise<this> {
    this.#options = this.#describe();
    this.#directory = mkdtempSync(join(tmpdir(), "longsplice-test-"));
    this.#child = spawn(process.execPath, [BIN, "run", ...this.#arguments()], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const child = this.#child;
    this.#exited = new Promise((resolve) => child.once("close", resolve));
    child.stderr!.on("data", (text: Buffer) => (this.stderr += text.toString()));
    createInterface({ input: child.stdout! }).on("line", (line) => this.#keep(line));
    try {
      this.#ready = (await this.logged("ready", START_MS)) as ReadyLine;
    } catch (error) {
      this.kill();
      // What it wrote last may not be here yet.
      await within(this.#exited, PATIENCE_MS, "its end").catch(() => undefined);
      throw new Error(`the proxy did not start: ${error}\n${this.output()}`);
    }
    return this;
  }

  /** A line with that `msg`, once it was written; `after` skips lines that were there before. */
  async logged(message: string | RegExp, ms?: number, after = 0): Promise<LogLine> {
    const matches = (line: LogLine) =>
      typeof message === "string" ? line.msg === message : message.test(line.msg ?? "");
    const find = () => {
      const line = this.logs.slice(after).find(matches);
      if (!line && this.#child?.exitCode !== null)
        throw new Error(`the proxy ended with ${this.#child?.exitCode}`);
      return line;
    };
    return eventually(`log line ${message}`, find, ms);
  }

  /** A client connection that lasts until `disconnect` or the end of the proxy. */
  async connect(): Promise<Wire> {
    const wire = await this.#connectWarm();
    this.#clients.push(wire);
    return wire;
  }

  async #connectWarm(): Promise<Wire> {
    const { engine, warmUp: where = {} } = this.#options;
    const wire = await Wire.connect(this.port);
    if (!linksRequests(engine) || where === false) return wire;
    if (await warmUp(wire, where.target ?? WARM_UP_TARGET, where.host ?? "test.example")) return wire;
    wire.reset();
    return Wire.connect(this.port);
  }

  /** Resets the connections of all clients, also of those that still wait for something. */
  disconnect(): void {
    for (const client of this.#clients) client.reset();
    this.#clients = [];
  }

  /** A client connection on which nothing was sent yet, whatever the engine. */
  async connectCold(): Promise<Wire> {
    const wire = await Wire.connect(this.port);
    this.#clients.push(wire);
    return wire;
  }

  /** Sends a request on a connection of its own and reads the response. */
  async exchange(bytes: Bytes, method = "GET", connect = this.connect): Promise<ResponseMessage> {
    const wire = await connect.call(this);
    await wire.send(bytes);
    return readResponse(wire, method);
  }

  async metrics(): Promise<Samples> {
    const answer = await this.#askAdmin("/metrics");
    return new Samples(await answer.text());
  }

  async status(): Promise<Record<string, unknown>> {
    const answer = await this.#askAdmin("/api/v1/status");
    return (await answer.json()) as Record<string, unknown>;
  }

  /**
   * On a connection of its own: one that is kept is closed after five seconds, and where this process was busy then, it would
   * send a request on it all the same.
   */
  #askAdmin(path: string): Promise<Response> {
    return fetch(`${this.adminUrl}${path}`, { headers: { connection: "close" } });
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** Replaces the configuration file and asks for a reload. */
  reload(config: Record<string, unknown> | string): void {
    writeFileSync(this.configFile, typeof config === "string" ? config : stringify(this.#complete(config)));
    this.signal("SIGHUP");
  }

  /** SIGTERM; throws unless the process drains and exits 0 in time. */
  async stop(): Promise<void> {
    try {
      if (this.#child?.exitCode !== null) throw new Error(`the proxy ended by itself\n${this.output()}`);
      this.signal("SIGTERM");
      const code = await within(
        this.#exited,
        this.#drainMs() + STOP_SLACK_MS,
        "the proxy's exit after SIGTERM",
      );
      if (code !== 0) throw new Error(`the proxy exited with ${code}\n${this.output()}`);
    } finally {
      this.kill();
    }
  }

  /** Ends the process at once if it still runs, and removes its files. */
  kill(): void {
    this.disconnect();
    this.#child?.kill("SIGKILL");
    rmSync(this.#directory, { recursive: true, force: true });
  }

  output(): string {
    const lines = this.logs.slice(-20).map((line) => JSON.stringify(line));
    return [...lines, this.stderr].join("\n");
  }

  #keep(line: string): void {
    if (line.startsWith("{")) this.logs.push(JSON.parse(line) as LogLine);
    else this.otherLines.push(line);
  }

  #arguments(): string[] {
    const { engine, flags } = this.#options;
    const chosen = engine ? engineFlags(engine) : [];
    if (flags) return [...flags, ...chosen];
    writeFileSync(this.configFile, stringify(this.#complete(this.#options.config ?? {})));
    return ["-c", this.configFile, ...chosen];
  }

  #complete(config: Record<string, unknown>): Record<string, unknown> {
    const { backends, engine } = this.#options;
    const topology = backends && {
      routes: [{ match: {}, pool: "main" }],
      pools: { main: { backends: backends.map((address) => ({ address })) } },
    };
    return {
      listeners: [{ address: "127.0.0.1:0" }],
      admin: { address: "127.0.0.1:0" },
      workers: 1,
      // Small bodies find what is wrong at their ends, and most of the suite's are small.
      ...(engine === "pipe" ? { pipeFrom: 1 } : {}),
      ...(engine === "sockmap" ? { sockmapFrom: 1 } : {}),
      ...topology,
      ...config,
      timeouts: { drain: "1s", ...(config.timeouts as object | undefined) },
    };
  }

  #drainMs(): number {
    const drain = (this.#options.config?.timeouts as { drain?: string } | undefined)?.drain ?? "1s";
    return Number.parseFloat(drain) * (drain.endsWith("ms") ? 1 : 1000);
  }
}

export const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(":") + 1));

/** Starts a proxy for the running test; it is killed when the test ends, however it ends. */
export async function startProxy(options: ProxyOptions): Promise<RunningProxy> {
  const proxy = new RunningProxy(() => options);
  onTestFinished(() => proxy.kill());
  return proxy.start();
}
