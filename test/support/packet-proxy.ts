/** The proxy with the packet engine, inside a network namespace, and what its counters say. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { stringify } from "yaml";
import type { Namespace } from "./netns.js";
import { Samples } from "./prometheus.js";
import { eventually, START_MS, within } from "./wait.js";

const BIN = process.env.LONGSPLICE_BIN ?? fileURLToPath(new URL("../../bin/longsplice.js", import.meta.url));

export interface PacketProxyOptions {
  listen: string;
  backends: readonly string[];
  adminPort?: number;
  /** Top-level keys of the configuration file; they win. */
  config?: Record<string, unknown>;
  env?: Record<string, string>;
}

/** The counters of the packet engine at one moment. */
export class PacketCounters {
  readonly #samples: Samples;

  constructor(samples: Samples) {
    this.#samples = samples;
  }

  /** How often the programs in the kernel counted that (LS_COUNTERS in native/bpf/include/abi.h). */
  event(name: string): number {
    return this.#samples.sum("longsplice_packet_total", { event: name });
  }

  /** What must never be counted, and was. */
  get impossible(): string[] {
    return this.#samples
      .labelSets("longsplice_packet_total")
      .map(({ event }) => event!)
      .filter((event) => /^bad_|^lost_events$/.test(event) && this.event(event) > 0);
  }

  /** Links that ended, of one kind or all. */
  links(end?: "finished" | "reset" | "idle" | "resumed" | "cut"): number {
    return this.#samples.sum("longsplice_links_total", end === undefined ? {} : { end });
  }

  forwardedBytes(engine: "copy" | "packet"): number {
    return this.#samples.sum("longsplice_forwarded_bytes_total", { engine });
  }

  get activeConnections(): number {
    return this.#samples.sum("longsplice_connections_active");
  }

  /** Also those that wait for another request. */
  get backendConnections(): number {
    return this.#samples.sum("longsplice_backend_connections");
  }

  get activeLinks(): number {
    return this.#samples.sum("longsplice_links_active");
  }

  records(state: "free" | "ended"): number {
    return this.#samples.sum("longsplice_records", { state });
  }

  /** Connections that the engine could not carry; the reasons, each as often as it was counted. */
  get fallbacks(): Record<string, number> {
    const labels = { from: "packet", to: "copy" };
    const reasons = this.#samples
      .labelSets("longsplice_engine_fallback_total")
      .filter(({ from, to }) => from === "packet" && to === "copy")
      .map(({ reason }) => reason!);
    const counted = reasons.map((reason): [string, number] => [
      reason,
      this.#samples.sum("longsplice_engine_fallback_total", { ...labels, reason }),
    ]);
    return Object.fromEntries(counted.filter(([, count]) => count > 0));
  }
}

/** A proxy for the running test, killed when that ends. */
export class PacketProxy {
  readonly #space: Namespace;
  readonly #adminPort: number;
  readonly #child: ChildProcess;
  /** What it wrote on stdout, by lines. */
  readonly lines: string[] = [];

  private constructor(space: Namespace, options: PacketProxyOptions) {
    this.#space = space;
    this.#adminPort = options.adminPort ?? 9901;
    const folder = mkdtempSync(join(tmpdir(), "longsplice-packet-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "longsplice.yaml");
    writeFileSync(file, stringify(this.#configuration(options)));
    this.#child = spawn("ip", ["netns", "exec", space.name, process.execPath, BIN, "run", "-c", file], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...options.env },
    });
    onTestFinished(() => void this.#child.kill("SIGKILL"));
  }

  static async start(space: Namespace, options: PacketProxyOptions): Promise<PacketProxy> {
    const proxy = new PacketProxy(space, options);
    const lines = createInterface({ input: proxy.#child.stdout! });
    const ready = new Promise<void>((resolve, reject) => {
      lines.on("line", (line) => {
        proxy.lines.push(line);
        if (line.includes('"msg":"ready"')) resolve();
      });
      proxy.#child.once("close", (code) =>
        reject(new Error(`the proxy ended with ${code}\n${proxy.lines.slice(-40).join("\n")}`)),
      );
    });
    await within(ready, START_MS, "the proxy's start");
    return proxy;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async counters(): Promise<PacketCounters> {
    const url = `http://127.0.0.1:${this.#adminPort}/metrics`;
    const page = this.#space.run("curl", ["-sS", "--max-time", "15", url]);
    return new PacketCounters(new Samples(page));
  }

  /** The counters, once they say that all links ended. */
  async quietCounters(): Promise<PacketCounters> {
    return eventually("the end of all links", async () => {
      const counters = await this.counters();
      return counters.activeLinks === 0 ? counters : undefined;
    });
  }

  /** SIGTERM; throws unless it drains and exits 0. */
  async stop(): Promise<void> {
    const ended = once(this.#child, "close");
    this.#child.kill("SIGTERM");
    const [code] = (await within(ended, 20_000, "the proxy's exit after SIGTERM")) as [number | null];
    if (code !== 0) throw new Error(`the proxy exited with ${code}`);
  }

  /** kill -9 */
  async crash(): Promise<void> {
    const ended = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await ended;
  }

  #configuration({ listen, backends, config }: PacketProxyOptions): Record<string, unknown> {
    return {
      listeners: [{ address: listen }],
      admin: { address: `127.0.0.1:${this.#adminPort}` },
      engine: "packet",
      forward: "connection",
      workers: 1,
      timeouts: { drain: "1s" },
      routes: [{ match: {}, pool: "main" }],
      pools: { main: { backends: backends.map((address) => ({ address })) } },
      ...config,
    };
  }
}
