import { once } from "node:events";
import { connect } from "node:net";
import type { buildConnector } from "undici";
import { type Address, formatAddress } from "./address.js";

/** How a backend is checked. Times in milliseconds. */
export interface HealthCheck {
  /** `tcp`: it is enough that a connection can be made. What is asked and expected is for `http`. */
  readonly type: "http" | "tcp";
  /** Never missing for `http`. */
  readonly path?: string | undefined;
  /** The Host header, if it is not to be the address. */
  readonly host?: string | undefined;
  readonly status: readonly StatusRange[];
  /** Text that must be in the first 64 KiB of the body. */
  readonly body?: string | undefined;
  /** Where to ask, if not at the port of the backend; has no meaning for Unix sockets. */
  readonly port?: number | undefined;
  readonly interval: number;
  /** Between two checks while they contradict what was believed; not more than `interval`. */
  readonly fastInterval: number;
  readonly timeout: number;
  readonly rise: number;
  readonly fall: number;
}

/** From one status to another, both included. */
export type StatusRange = readonly [from: number, to: number];

/** The PROXY header that the backends of a pool expect. */
export type ProxyProtocol = "none" | "v1" | "v2";

/** A check and what comes before it on the wire. */
export interface BackendCheck extends HealthCheck {
  readonly proxyProtocol: ProxyProtocol;
}

/** One check's outcome; `detail` says what was seen: `status 200`, `connect ECONNREFUSED ...`. */
export interface ProbeResult {
  readonly passed: boolean;
  readonly detail: string;
}

/** Checks a backend once. Does not reject; fails when `signal` aborts, which it does after the timeout. */
export type Probe = (address: Address, check: BackendCheck, signal: AbortSignal) => Promise<ProbeResult>;

/** Largest part of a health page's body that is read before the connection is closed, bytes. */
const BODY_LIMIT = 64 * 1024;

/** What a check begins with: nobody's connection but our own (version 2: LOCAL). */
const PROXY_HEADERS: Readonly<Record<ProxyProtocol, string>> = {
  none: "",
  v1: "PROXY UNKNOWN\r\n",
  v2: "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
};

/** Checks on a connection of its own, since one that is open already says nothing about whether the backend still accepts. */
export const probe: Probe = async (address, check, signal) => {
  const where =
    check.port === undefined || address.kind === "unix" ? address : { ...address, port: check.port };
  try {
    return await (check.type === "tcp" ? connectOnly(where, check, signal) : ask(where, check, signal));
  } catch (error) {
    if (signal.aborted) return { passed: false, detail: `no answer within ${check.timeout} ms` };
    return { passed: false, detail: error instanceof Error ? error.message : String(error) };
  }
};

/** Redirects are not followed: they are a status like others. */
async function ask(address: Address, check: BackendCheck, signal: AbortSignal): Promise<ProbeResult> {
  const origin = `http://${address.kind === "tcp" ? formatAddress(address) : "localhost"}`;
  const { Client, buildConnector } = await import("undici");
  const path = address.kind === "unix" ? { socketPath: address.path } : {};
  // A request that still waits for its connection is not told of the signal, and the client has a timeout of its own.
  const connect = buildConnector({ ...path, signal, timeout: 0 });
  const client = new Client(origin, { connect: behindHeader(connect, check, signal) });
  const host = check.host === undefined ? {} : { host: check.host };
  try {
    const { statusCode, body } = await client.request({
      method: "GET",
      path: check.path ?? "/",
      headers: { "user-agent": "longsplice-health", ...host },
      reset: true,
      signal,
    });
    const detail = `status ${statusCode}`;
    const expected = check.status.some(([from, to]) => statusCode >= from && statusCode <= to);
    if (!expected || check.body === undefined) {
      // Read only so that the backend need not see a broken connection.
      await body.dump({ limit: BODY_LIMIT, signal }).catch(() => {});
      return { passed: expected, detail };
    }
    const passed = await contains(body, check.body);
    return { passed, detail: passed ? detail : `${detail} without ${JSON.stringify(check.body)}` };
  } finally {
    await client.destroy();
  }
}

/** Whether the text is near the beginning of the body; reads no further than needed. */
async function contains(body: AsyncIterable<Buffer>, text: string): Promise<boolean> {
  const wanted = Buffer.from(text);
  let seen = Buffer.alloc(0);
  for await (const part of body) {
    seen = Buffer.concat([seen, part]).subarray(0, BODY_LIMIT);
    if (seen.includes(wanted)) return true;
    if (seen.length === BODY_LIMIT) return false;
  }
  return false;
}

async function connectOnly(address: Address, check: BackendCheck, signal: AbortSignal): Promise<ProbeResult> {
  const where = address.kind === "tcp" ? { host: address.host, port: address.port } : { path: address.path };
  const socket = connect({ ...where, signal });
  try {
    await once(socket, "connect");
    socket.on("error", () => {}).write(PROXY_HEADERS[check.proxyProtocol], "latin1");
    return { passed: true, detail: "connected" };
  } finally {
    // An end rather than a break: to the backend, a client that thought better of it.
    socket.destroySoon();
  }
}

/** Sends the PROXY header ahead of everything. */
function behindHeader(
  connect: buildConnector.connector,
  check: BackendCheck,
  signal: AbortSignal,
): buildConnector.connector {
  const header = PROXY_HEADERS[check.proxyProtocol];
  return (options, callback) => {
    // Node 20 connects a socket whose signal has fired before, and tells nobody: it would stay open for good.
    if (signal.aborted) return callback(new Error("aborted"), null);
    connect(options, (...result) => {
      if (header !== "") result[1]?.write(header, "latin1");
      callback(...result);
    });
  };
}
