import type { IncomingMessage, ServerResponse } from "node:http";
import type { Dashboard } from "./dashboard.js";
import type { Metrics } from "./metrics.js";
import type { Sampler } from "./sampler.js";
import type { BackendState, MetricsSource } from "./snapshot.js";
import type { ServiceInfo } from "./status.js";
import { backendStatus, buildStatus } from "./status.js";

/** What an operator may do to a backend: `drain` gives it no new exchanges, `enable` takes that back. */
export type BackendAction = "drain" | "enable";

/** What the admin server shows and changes; the composition root implements it. */
export interface AdminSource extends MetricsSource {
  info(): ServiceInfo;
  /** Changes one backend and returns its new state, or undefined when the pool has no backend of that address. */
  changeBackend(pool: string, address: string, action: BackendAction): BackendState | undefined;
}

/** Where diagnostics of the admin server go; a pino logger fits. */
export interface AdminLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What the handlers work with. */
export interface AdminContext {
  readonly source: AdminSource;
  readonly sampler: Sampler;
  readonly metrics: Metrics;
  readonly dashboard: Dashboard;
  readonly log: AdminLog;
}

type Handler = (
  context: AdminContext,
  response: ServerResponse,
  request: IncomingMessage,
) => void | Promise<void>;

interface Endpoint {
  readonly method: "GET" | "POST";
  readonly handle: Handler;
}

const BACKEND_PATH = /^\/api\/v1\/backends\/([^/]+)\/(.+)\/(drain|enable)$/;

const pages: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ["/", showDashboard],
  ["/healthz", (_, response) => sendText(response, 200, "ok\n")],
  ["/readyz", showReadiness],
  ["/metrics", showMetrics],
  ["/api/v1/status", showStatus],
]);

/** Answers one request that has passed the guard. */
export async function answer(
  context: AdminContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // RFC 9112, 3.2.2: a server takes the absolute form as well.
  const path = (request.url ?? "/").replace(/^https?:\/\/[^/]*/i, "").replace(/\?.*$/, "") || "/";
  const endpoint = endpointOf(path);
  if (endpoint === undefined) {
    sendJson(response, 404, { error: "no such page", pages: [...pages.keys()] });
    return;
  }
  const method = request.method === "HEAD" ? "GET" : request.method;
  if (method !== endpoint.method) {
    response.setHeader("allow", endpoint.method === "GET" ? "GET, HEAD" : endpoint.method);
    sendJson(response, 405, { error: `${path} does not take ${request.method}` });
    return;
  }
  await endpoint.handle(context, response, request);
}

function endpointOf(path: string): Endpoint | undefined {
  const page = pages.get(path);
  if (page !== undefined) return { method: "GET", handle: page };
  const [, pool, address, action] = BACKEND_PATH.exec(path) ?? [];
  if (pool === undefined || address === undefined) return undefined;
  const target = { pool: decode(pool), address: decode(address), action: action as BackendAction };
  return { method: "POST", handle: (...args) => changeBackend(target, ...args) };
}

function showDashboard({ dashboard }: AdminContext, response: ServerResponse): void {
  response.setHeader("content-security-policy", dashboard.contentSecurityPolicy);
  send(response, 200, "text/html; charset=utf-8", dashboard.html);
}

function showReadiness({ source }: AdminContext, response: ServerResponse): void {
  const { state } = source.info();
  sendText(response, state === "ready" ? 200 : 503, `${state}\n`);
}

async function showMetrics({ metrics, log }: AdminContext, response: ServerResponse): Promise<void> {
  let text: string;
  try {
    text = await metrics.text();
  } catch (error) {
    log.error({ err: error }, "metrics could not be read");
    sendJson(response, 503, { error: "the workers did not report; try again" });
    return;
  }
  send(response, 200, metrics.contentType, text);
}

async function showStatus({ source, sampler }: AdminContext, response: ServerResponse): Promise<void> {
  const { counters, ageMs } = await sampler.read();
  const status = buildStatus({
    info: source.info(),
    backends: source.backends(),
    counters,
    countersAgeMs: ageMs,
    logDropped: source.logDropped(),
    window: sampler.window,
  });
  sendJson(response, 200, status);
}

function changeBackend(
  target: { readonly pool: string; readonly address: string; readonly action: BackendAction },
  { source, sampler, log }: AdminContext,
  response: ServerResponse,
  request: IncomingMessage,
): void {
  const changed = source.changeBackend(target.pool, target.address, target.action);
  if (changed === undefined) {
    const known = source.backends().map(({ pool, address }) => ({ pool, address }));
    sendJson(response, 404, { error: `pool ${target.pool} has no backend ${target.address}`, known });
    return;
  }
  log.info({ ...target, client: request.socket.remoteAddress }, "backend changed by admin request");
  sendJson(response, 200, { pool: changed.pool, ...backendStatus(changed, sampler.window) });
}

/** Percent-decoding that takes malformed text as it is: it then names no backend, which is the right answer. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Sends a JSON document, on a line of its own for the reader at a terminal. */
export function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, "application/json; charset=utf-8", `${JSON.stringify(body)}\n`);
}

function sendText(response: ServerResponse, status: number, body: string): void {
  send(response, status, "text/plain; charset=utf-8", body);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(body);
}
