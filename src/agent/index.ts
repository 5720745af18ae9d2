import { createServer as createHttpServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { type Address, formatAddress } from "../config/index.js";
import { LongspliceError } from "../errors/index.js";
import { createLog, type Logger } from "../observe/index.js";
import { formatOrcaJson } from "../pools/orca.js";
import { agentCheckLine } from "./agent-check-line.js";
import { Sampler } from "./sampler.js";

/** An address that an agent can be asked at. */
export type AgentAddress = Extract<Address, { kind: "tcp" }>;

/** What `runAgent` needs of the command line. */
export interface AgentOptions {
  /** For HTTP: `GET /` is answered with a load report. */
  readonly listen: AgentAddress;
  /** For HAProxy's agent-check protocol; null: nowhere. */
  readonly agentCheck: AgentAddress | null;
}

const SAMPLE_MS = 1000;
/** Longer than the pause between two questions of most proxies, so that they need not connect each time. */
const KEEP_ALIVE_MS = 75_000;
const MAX_CONNECTIONS = 1024;

/**
 * Tells whoever asks how busy this machine is, until SIGTERM or SIGINT. Returns the exit code.
 * @throws LongspliceError LS_LISTEN_ADDRESS_IN_USE or LS_LISTEN
 */
export async function runAgent({ listen, agentCheck }: AgentOptions): Promise<number> {
  const ended = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, resolve);
  });
  const log = createLog("info");
  const sampler = new Sampler();
  const http = createHttpServer({ keepAliveTimeout: KEEP_ALIVE_MS }, answerFrom(sampler));
  const tcp = createTcpServer((socket) => {
    socket.on("error", () => {});
    // The line ends the conversation, whatever the other side sends.
    socket.resume().end(agentCheckLine(sampler.figures), () => socket.destroySoon());
  });
  try {
    const address = await open(http, listen, log.logger);
    const check = agentCheck === null ? null : await open(tcp, agentCheck, log.logger);
    const sampling = await startSampling(sampler);
    log.logger.info({ listeners: [address], agentCheck: check }, "ready");
    await ended;
    clearInterval(sampling);
    return 0;
  } finally {
    http.close();
    http.closeAllConnections();
    tcp.close();
    log.close();
  }
}

/** There is something to tell from the beginning on, and shares of time a second later. */
async function startSampling(sampler: Sampler): Promise<NodeJS.Timeout> {
  await sampler.sample();
  let busy = false;
  return setInterval(async () => {
    // A machine that is so busy that a reading takes a second needs none in between.
    if (busy) return;
    busy = true;
    await sampler.sample();
    busy = false;
  }, SAMPLE_MS);
}

function answerFrom(sampler: Sampler): RequestListener {
  return (request, response) => {
    request.resume();
    const [path] = (request.url ?? "").split("?", 1);
    if (path !== "/") return response.writeHead(404).end();
    if (request.method !== "GET" && request.method !== "HEAD") {
      return response.writeHead(405, { allow: "GET, HEAD" }).end();
    }
    const headers = { "content-type": "application/json", "cache-control": "no-store" };
    return response.writeHead(200, headers).end(`${formatOrcaJson(sampler.figures)}\n`);
  };
}

/** Opens a server; the address that it is bound to. */
async function open(server: Server, address: AgentAddress, logger: Logger): Promise<string> {
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: address.host, port: address.port }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") {
      throw new LongspliceError("LS_LISTEN_ADDRESS_IN_USE", formatAddress(address), { cause });
    }
    throw new LongspliceError("LS_LISTEN", `${formatAddress(address)}: ${message}`, { cause });
  }
  // A connection that cannot be accepted, for want of descriptors for example, is no reason to end.
  server.on("error", (error) => logger.error({ err: error }, "a connection could not be accepted"));
  const { address: host, port } = server.address() as AddressInfo;
  return formatAddress({ kind: "tcp", host, port });
}
