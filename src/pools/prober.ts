import { buildConnector, Client } from "undici";
import { type Address, formatAddress } from "./address.js";

/** How a backend is checked. Times in milliseconds. */
export interface HealthCheck {
  readonly path: string;
  readonly interval: number;
  readonly timeout: number;
  readonly rise: number;
  readonly fall: number;
}

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

/** Largest body of a health page that is read before the connection is closed, bytes. */
const BODY_LIMIT = 64 * 1024;

/** What a check begins with: nobody's connection but our own (version 2: LOCAL). */
const PROXY_HEADERS: Readonly<Record<ProxyProtocol, string>> = {
  none: "",
  v1: "PROXY UNKNOWN\r\n",
  v2: "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
};

/** How far the pause between checks strays from the interval, as a part of it. */
const JITTER = 0.1;

/**
 * Checks over HTTP: GET on a connection of its own, since one that is open already says nothing about whether the
 * backend still accepts. Status 2xx and 3xx pass; redirects are not followed.
 */
export const probeHttp: Probe = async (address, check, signal) => {
  try {
    const status = await requestStatus(address, check, signal);
    return { passed: status >= 200 && status < 400, detail: `status ${status}` };
  } catch (error) {
    if (signal.aborted) return { passed: false, detail: `no answer within ${check.timeout} ms` };
    return { passed: false, detail: error instanceof Error ? error.message : String(error) };
  }
};

async function requestStatus(address: Address, check: BackendCheck, signal: AbortSignal): Promise<number> {
  const host = address.kind === "tcp" ? formatAddress(address) : "localhost";
  const plain = buildConnector(address.kind === "unix" ? { socketPath: address.path } : {});
  const header = PROXY_HEADERS[check.proxyProtocol];
  const withHeader: buildConnector.connector = (options, callback) =>
    plain(options, (...result) => {
      result[1]?.write(header, "latin1");
      callback(...result);
    });
  const connect = header === "" ? plain : withHeader;
  const client = new Client(`http://${host}`, { connect });
  try {
    const headers = { "user-agent": "longsplice-health" };
    const { statusCode, body } = await client.request({
      method: "GET",
      path: check.path,
      headers,
      reset: true,
      signal,
    });
    // The verdict is the status. The body is read only so that the backend need not see a broken connection.
    await body.dump({ limit: BODY_LIMIT, signal }).catch(() => {});
    return statusCode;
  } finally {
    await client.destroy();
  }
}

/** Replaceable parts, for tests. */
export interface ProberDeps {
  readonly probe?: Probe;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

/**
 * Checks one backend again and again, never twice at once. Pauses vary by a tenth, so that the checks of many
 * backends and many proxies do not fall into step. Its timers do not keep the process alive.
 */
export class Prober {
  private stopped = false;
  /** Breaks off the check under way. */
  private current: AbortController | undefined;
  private timer: NodeJS.Timeout | undefined;
  private readonly probe: Probe;
  private readonly random: () => number;

  /** Starts at once: the first check follows within a tenth of the interval. */
  constructor(
    private readonly address: Address,
    private readonly check: BackendCheck,
    private readonly onResult: (result: ProbeResult) => void,
    deps: ProberDeps = {},
  ) {
    this.probe = deps.probe ?? probeHttp;
    this.random = deps.random ?? Math.random;
    this.schedule(check.interval * JITTER * this.random());
  }

  /** Stops; a check under way is broken off and reports nothing. Idempotent. */
  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.current?.abort();
  }

  private schedule(delay: number): void {
    this.timer = setTimeout(() => void this.turn(), Math.max(0, delay)).unref();
  }

  private async turn(): Promise<void> {
    const started = performance.now();
    const current = new AbortController();
    this.current = current;
    const timeout = setTimeout(() => current.abort(), this.check.timeout).unref();
    const result = await this.probe(this.address, this.check, current.signal);
    clearTimeout(timeout);
    if (this.stopped) return;
    const pause = this.check.interval * (1 - JITTER + 2 * JITTER * this.random());
    this.schedule(pause - (performance.now() - started));
    this.onResult(result);
  }
}
