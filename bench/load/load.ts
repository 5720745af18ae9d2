/** Load generators: how they are called and what they say. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ConnectionMode, LoadName } from "../cells.js";
import { type CommandLine, runToEnd } from "../processes.js";
import type { Topology } from "../topology.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Threads of wrk; each has one of the addresses of a topology. */
const wrkThreads = 2;

/** What requests are like that are not all the same; bench/load/requests.lua makes them. */
export type RequestKind = "paths" | "browser" | "alternate" | "three";

export interface LoadOptions {
  readonly load: LoadName;
  /** host:port; wrk shares them out among its threads, autocannon takes the first. */
  readonly addresses: readonly string[];
  readonly path: string;
  readonly connections: number;
  readonly mode: ConnectionMode;
  readonly seconds: number;
  /** Only wrk can do it. Without, all requests are the same. */
  readonly requests?: RequestKind;
}

/** What a load generator counted, in one form for all. */
export interface LoadReport {
  readonly seconds: number;
  readonly requests: number;
  /** All that it read, heads included. */
  readonly bytes: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  /** What it used itself, or null where it does not know. */
  readonly cpuSeconds: number | null;
  /** Failed requests by kind. */
  readonly errors: Readonly<Record<string, number>>;
}

function objectIn(output: string): Record<string, unknown> {
  const line = output.split("\n").find((text) => text.startsWith("{"));
  if (line === undefined) throw new Error(`the load generator reported nothing:\n${output}`);
  return JSON.parse(line) as Record<string, unknown>;
}

/** @param output of wrk with report.lua; times in it are in microseconds */
export function parseWrk(output: string): LoadReport {
  const report = objectIn(output) as Record<
    "micros" | "requests" | "bytes" | "p50" | "p99" | "cpuSeconds",
    number
  > & {
    errors: Record<string, number>;
  };
  return {
    seconds: report.micros / 1e6,
    requests: report.requests,
    bytes: report.bytes,
    p50Micros: report.p50,
    p99Micros: report.p99,
    cpuSeconds: report.cpuSeconds,
    errors: report.errors,
  };
}

/** @param output of `autocannon --json`; its latencies are whole milliseconds */
export function parseAutocannon(output: string): LoadReport {
  const report = objectIn(output) as Record<
    "duration" | "errors" | "timeouts" | "non2xx" | "resets",
    number
  > &
    Record<"requests" | "throughput", { total: number }> & { latency: Record<"p50" | "p99", number> };
  return {
    seconds: report.duration,
    requests: report.requests.total,
    bytes: report.throughput.total,
    p50Micros: report.latency.p50 * 1000,
    p99Micros: report.latency.p99 * 1000,
    cpuSeconds: null,
    errors: {
      socket: report.errors,
      timeout: report.timeouts,
      status: report.non2xx,
      reset: report.resets,
    },
  };
}

function commandOf(options: LoadOptions): CommandLine {
  const { load, addresses, path, connections, mode, seconds, requests } = options;
  const url = `http://${addresses[0]}${path}`;
  if (load === "autocannon") {
    const program = join(root, "node_modules/autocannon/autocannon.js");
    return [process.execPath, program, "-j", "-n", "-c", `${connections}`, "-d", `${seconds}`, url];
  }
  const header = mode === "close" ? ["-H", "Connection: close"] : [];
  const script = join(root, "bench/load/report.lua");
  // wrk asks its script by thread what comes next, and not by connection, of which each has a turn of its own here.
  const inTurns = requests === "alternate" || requests === "three";
  const threads = inTurns ? connections : Math.min(wrkThreads, connections);
  const counts = ["-t", `${threads}`, "-c", `${connections}`, "-d", `${seconds}s`, "--timeout", "10s"];
  return ["wrk", ...counts, ...header, "-s", script, url];
}

/** Runs the load at the client's place of a topology. @throws Error if the generator itself fails */
export async function runLoad(topology: Topology, options: LoadOptions): Promise<LoadReport> {
  const output = await runToEnd(topology.at("client", commandOf(options)), options.seconds + 30, {
    BENCH_ADDRESSES: options.addresses.join(" "),
    BENCH_REQUESTS: options.requests ?? "",
  });
  return options.load === "wrk" ? parseWrk(output) : parseAutocannon(output);
}
