import { unlink } from "node:fs/promises";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo, ListenOptions } from "node:net";
import { connect } from "node:net";
import { LongspliceError } from "../errors/index.js";
import type { AdminContext, AdminLog, AdminSource } from "./admin-api.js";
import { answer, sendJson } from "./admin-api.js";
import type { Exposure } from "./admin-guard.js";
import { exposureOf, refuse } from "./admin-guard.js";
import { loadDashboard } from "./dashboard.js";
import { Metrics } from "./metrics.js";
import { Sampler } from "./sampler.js";

/** Where to listen; port 0 picks a free one. */
export type AdminAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

export interface AdminOptions {
  readonly address: AdminAddress;
  /** Bearer token that every change then needs; without one, changes are possible from this machine only. */
  readonly token?: string;
  readonly log: AdminLog;
}

/** A running admin server. */
export interface Admin {
  /** The bound address: `127.0.0.1:9901`, `[::1]:9901` or `unix:/path`. */
  readonly address: string;
  /** Stops listening and lets answers in progress finish for at most a moment; may be called again. */
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 128;
const MAX_BODY_BYTES = 16 * 1024;
const CLOSE_LIMIT_MS = 500;
const SERVER_LIMITS = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 2_000,
};

/**
 * Starts the admin server: health, metrics, status, dashboard and the few changes an operator may make.
 * @throws LongspliceError `LS_ADMIN_ADDRESS_IN_USE`, or `LS_ADMIN_LISTEN` when the address cannot be bound
 */
export async function createAdmin(options: AdminOptions, source: AdminSource): Promise<Admin> {
  const dashboard = loadDashboard();
  const server = createServer(SERVER_LIMITS);
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, options.address);
  const context: AdminContext = {
    source,
    dashboard,
    sampler: new Sampler(source),
    metrics: new Metrics(source, source.info().version),
    log: options.log,
  };
  const { address, exposure } = boundTo(server, options.address);
  server.on("request", (request, response) => {
    respond(context, exposure, options.token, request, response).catch((error: unknown) => {
      options.log.error({ err: error, url: request.url }, "admin request failed");
      if (response.headersSent) response.destroy();
      else sendJson(response, 500, { error: "internal error, see the log" });
    });
  });
  let closing: Promise<void> | undefined;
  return {
    address,
    close: () => {
      context.sampler.stop();
      closing ??= closeServer(server);
      return closing;
    },
  };
}

async function respond(
  context: AdminContext,
  exposure: Exposure,
  token: string | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  discardBody(request);
  const { host, origin, authorization } = request.headers;
  const refusal = refuse({ method: request.method ?? "GET", host, origin, authorization }, exposure, token);
  if (refusal === null) return answer(context, request, response);
  if (refusal.status === 401) response.setHeader("www-authenticate", "Bearer");
  sendJson(response, refusal.status, { error: refusal.error, remedy: refusal.remedy });
}

/** No endpoint takes a body. A small one is read and forgotten, a large one ends the connection. */
function discardBody(request: IncomingMessage): void {
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) request.destroy();
  });
}

async function listen(server: Server, address: AdminAddress): Promise<void> {
  const where: ListenOptions =
    address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
  try {
    try {
      await tryListen(server, where);
    } catch (error) {
      if (address.kind !== "unix" || !(await isStaleSocket(error, address.path))) throw error;
      await unlink(address.path);
      await tryListen(server, where);
    }
  } catch (cause) {
    const inUse = (cause as NodeJS.ErrnoException).code === "EADDRINUSE";
    const text = address.kind === "unix" ? `unix:${address.path}` : formatTcp(address.host, address.port);
    throw new LongspliceError(
      inUse ? "LS_ADMIN_ADDRESS_IN_USE" : "LS_ADMIN_LISTEN",
      inUse ? text : `${text}: ${(cause as Error).message}`,
      { cause },
    );
  }
}

function tryListen(server: Server, where: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** A socket file outlives a process that was killed; then nobody accepts on it, and it may be replaced. */
function isStaleSocket(error: unknown, path: string): Promise<boolean> {
  if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") return Promise.resolve(false);
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(false);
    });
    probe.once("error", (refused: NodeJS.ErrnoException) => resolve(refused.code === "ECONNREFUSED"));
  });
}

function boundTo(server: Server, asked: AdminAddress): { address: string; exposure: Exposure } {
  if (asked.kind === "unix") return { address: `unix:${asked.path}`, exposure: "unix" };
  const bound = server.address() as AddressInfo;
  return { address: formatTcp(bound.address, bound.port), exposure: exposureOf(bound.address) };
}

function formatTcp(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const impatient = setTimeout(() => server.closeAllConnections(), CLOSE_LIMIT_MS);
    server.close(() => {
      clearTimeout(impatient);
      resolve();
    });
    server.closeIdleConnections();
  });
}
