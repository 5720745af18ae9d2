/** The programs that are measured, and the origins behind them. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bodySizes, type OriginName, type TargetName } from "./cells.js";
import { type CommandLine, listens, type RunningServer, startServer } from "./processes.js";
import { fillTemplate } from "./template.js";
import type { Topology } from "./topology.js";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Client connections that a target must be able to hold. */
const defaultConnections = 4096;

export interface Target {
  readonly name: TargetName;
  /** Where clients connect: host:port, one for each address of the place. */
  readonly addresses: readonly string[];
  /** Null for `direct`. */
  readonly server: RunningServer | null;
  /** Path of the socket on which longsplice tells its metrics. Paths, unlike addresses, lead into namespaces. */
  readonly admin: string;
}

export interface Origin {
  readonly addresses: readonly string[];
  readonly server: RunningServer;
}

/** What proxies do with requests besides passing them on. `forward` counts where the packet engine is. */
const variants = {
  plain: {},
  /** Paths under /b/ go to the last of the origins, all others to those before it. */
  split: {},
  "forwarded-for": { forward: "request", forwardedFor: ["x-forwarded-for"] },
  "response-header": { forward: "exchange", servedBy: ["bench"] },
} as const;
export type Variant = keyof typeof variants;

/** What a proxy is started with. */
export interface TargetOptions {
  readonly topology: Topology;
  readonly origins: readonly string[];
  readonly workers: number;
  /** For configuration files and whatever the programs write. */
  readonly folder: string;
  readonly connections?: number;
  readonly policy?: string;
  /** Where policies are that do not come with longsplice. */
  readonly policyFiles?: string;
  readonly variant?: Variant;
  /** Where longsplice learns from how busy its backends are; without, it does not. */
  readonly loadSource?: "header";
  readonly accessLog?: "off" | "json";
  /** Has an engine move bodies from so many bytes on, instead of copying them. */
  readonly bodies?: { readonly engine: "pipe" | "sockmap"; readonly from: string };
  /** A file descriptor for what the program writes to its standard output. */
  readonly stdout?: number;
}

/** The template and the command of a proxy, which is given the file made of the template and that file's folder. */
interface Recipe {
  readonly template: string;
  readonly values?: Readonly<Record<string, string>>;
  command(file: string, folder: string): CommandLine;
}

const longsplice = {
  template: "longsplice.yaml",
  command: (file: string): CommandLine => [
    process.execPath,
    join(root, "bin/longsplice.js"),
    "run",
    "-c",
    file,
  ],
} as const;

const recipes: Readonly<Record<Exclude<TargetName, "direct">, Recipe>> = {
  longsplice: { ...longsplice, values: { engine: "copy", forward: "exchange" } },
  splice: { ...longsplice, values: { engine: "packet", forward: "connection" } },
  haproxy: { template: "haproxy.cfg", command: (file) => ["haproxy", "-db", "-f", file] },
  nginx: { template: "nginx.conf", command: (file, folder) => ["nginx", "-p", folder, "-c", file] },
};

let nextPort = 17_000 + (process.pid % 5000);

/** A port that is free on loopback, below the range that the kernel gives to clients. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = nextPort++;
    const free = await new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once("error", () => resolve(false));
      server.listen(port, () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

/** Writes a template of bench/peers/ with its values to a folder of its own; returns the file and the folder. */
function configure(
  template: string,
  name: string,
  folder: string,
  values: Readonly<Record<string, string | number | readonly string[]>>,
): { file: string; folder: string } {
  const own = join(folder, name);
  mkdirSync(own, { recursive: true });
  const text = readFileSync(join(root, "bench/peers", `${template}.in`), "utf8");
  const file = join(own, template);
  // As root nginx would give its workers to a user who may not read the folder.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  writeFileSync(file, fillTemplate(text, { user, folder: own, ...values }));
  return { file, folder: own };
}

async function listenOn(topology: Topology, place: "proxy" | "backend") {
  const port = await freePort();
  return { port, addresses: topology.addresses[place].map((host) => `${host}:${port}`) };
}

/** @param hosts more addresses than the topology has, for pools of several backends */
export async function startOrigin(
  name: OriginName,
  topology: Topology,
  folder: string,
  hosts: readonly string[] = topology.addresses.backend,
): Promise<Origin> {
  const port = await freePort();
  const addresses = hosts.map((host) => `${host}:${port}`);
  const workers = availableParallelism();
  if (name === "native") {
    const program = join(root, "build/bench/origin");
    const command: CommandLine = [program, "--threads", `${workers}`, ...addresses];
    return {
      addresses,
      server: await startServer(topology.at("backend", command), (pid) => listens(pid, port)),
    };
  }
  const limits = { connections: defaultConnections, descriptors: 2 * defaultConnections };
  const { file, folder: own } = configure("nginx-origin.conf", "nginx-origin", folder, {
    workers,
    address: addresses,
    ...limits,
  });
  mkdirSync(join(own, "files"), { recursive: true });
  for (const size of bodySizes)
    writeFileSync(join(own, "files", `${size}`), Buffer.alloc(size, "nginx bench\n"));
  const command: CommandLine = ["nginx", "-p", own, "-c", file];
  return {
    addresses,
    server: await startServer(topology.at("backend", command), (pid) => listens(pid, port)),
  };
}

/** @throws Error if it does not start */
export async function startTarget(name: TargetName, options: TargetOptions): Promise<Target> {
  const { topology, origins, workers, folder, connections = defaultConnections, bodies } = options;
  const { variant = "plain" } = options;
  if (name === "direct") return { name, addresses: origins, server: null, admin: "" };
  const { port, addresses } = await listenOn(topology, "proxy");
  const { template, values, command } = recipes[name];
  const admin = join(folder, `${name}-${port}`, "admin.sock");
  const { file, folder: own } = configure(template, `${name}-${port}`, folder, {
    address: addresses,
    origin: variant === "split" ? origins.slice(0, -1) : origins,
    other: variant === "split" ? origins.slice(-1) : [],
    forwardedFor: [],
    servedBy: [],
    workers,
    connections,
    descriptors: 2 * connections,
    admin,
    policy: options.policy ?? "round-robin",
    loadSource: options.loadSource === undefined ? [] : [options.loadSource],
    policyFiles: options.policyFiles === undefined ? [] : [options.policyFiles],
    accessLog: options.accessLog ?? "off",
    ...values,
    ...variants[variant],
    pipeFrom: [],
    sockmapFrom: [],
    ...(bodies === undefined ? {} : { engine: bodies.engine, [`${bodies.engine}From`]: [bodies.from] }),
  });
  const isReady = (pid: number) =>
    listens(pid, port) && (template !== longsplice.template || existsSync(admin));
  const { stdout = "pipe" } = options;
  const server = await startServer(topology.at("proxy", command(file, own)), isReady, { stdout });
  return { name, addresses, server, admin };
}
