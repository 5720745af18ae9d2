import { once } from "node:events";
import { linkSync, mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Admin, AdminAddress } from "../../src/observe/admin.js";
import { createAdmin } from "../../src/observe/admin.js";
import type { AdminSource } from "../../src/observe/admin-api.js";
import { refuse } from "../../src/observe/admin-guard.js";
import type { BackendState, WorkerSnapshot } from "../../src/observe/snapshot.js";
import type { ServiceState, Status } from "../../src/observe/status.js";

const histogram = { bounds: [0.01, 0.1], counts: [1, 2, 0], sum: 0.1, count: 3 };
const worker: WorkerSnapshot = {
  requests: [
    { route: "*", pool: "api", backend: "127.0.0.1:9001", code: 200, count: 2 },
    { route: "*", pool: "api", backend: "unix:/run/b.sock", code: 502, count: 1 },
  ],
  listeners: [{ address: "127.0.0.1:8080", accepted: 3, active: 1 }],
  bytes: [],
  fallbacks: [],
  linksActive: 0,
  records: { free: 0, ended: 0 },
  linksEnded: [],
  retries: [],
  retriesRefused: 0,
  requestSeconds: histogram,
  decisionSeconds: histogram,
  policyErrors: [],
  idleUpstream: 0,
  logDropped: 0,
};

let state: ServiceState;
let backends: BackendState[];
let workersAnswer: boolean;
let admin: Admin | undefined;
let folder: string;

const source: AdminSource = {
  snapshot: async () => {
    if (!workersAnswer) throw new Error("a worker is gone");
    return [worker, worker];
  },
  backends: () => backends,
  logDropped: () => 0,
  packetCounters: () => ({}),
  discovery: () => [],
  info: () => ({
    version: "1.2.3",
    state,
    config: { file: "/etc/ls.yaml", generation: 2, loadedAt: new Date(0) },
    workers: { configured: 2, alive: 2 },
    listeners: ["127.0.0.1:8080", "127.0.0.1:8081"],
    routes: [{ label: "*", pool: "api", forward: "exchange", engine: "copy" }],
    pools: [{ name: "api", policy: ["round-robin"] }],
  }),
  changeBackend: (pool, address, action) => {
    const at = backends.findIndex((b) => b.pool === pool && b.address === address);
    const found = backends[at];
    if (found === undefined) return undefined;
    const changed: BackendState = { ...found, health: action === "drain" ? "draining" : "unknown" };
    backends[at] = changed;
    return changed;
  },
};

beforeEach(() => {
  state = "ready";
  workersAnswer = true;
  folder = mkdtempSync(join(tmpdir(), "longsplice-admin-"));
  const numbers = {
    weight: 1,
    active: 0,
    requests: 4,
    errors: 0,
    connections: 1,
    ewmaMicros: 1500,
    load: { cpu: 0.5 },
  };
  backends = ["127.0.0.1:9001", "unix:/run/b.sock"].map((address) => ({
    pool: "api",
    address,
    health: "healthy",
    reason: "status 200",
    weightPercent: 100,
    ejections: {},
    ...numbers,
  }));
});

afterEach(async () => {
  await admin?.close();
  admin = undefined;
  rmSync(folder, { recursive: true });
});

const loopback: AdminAddress = { kind: "tcp", host: "127.0.0.1", port: 0 };
const silent = { info: () => {}, error: () => {} };

async function start(address: AdminAddress = loopback, token?: string): Promise<Admin> {
  admin = await createAdmin({ address, log: silent, ...(token === undefined ? {} : { token }) }, source);
  return admin;
}

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** Sends a request with exactly these headers (fetch would not let us set Host and Origin). */
function send(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<Answer> {
  const address = admin?.address ?? "";
  const url = new URL(`http://${address}`.replace(/^http:\/\/unix:.*/, "http://localhost"));
  const where = address.startsWith("unix:")
    ? { socketPath: address.slice("unix:".length) }
    : { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port };
  return new Promise((resolve, reject) => {
    const call = request({ ...where, method, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
      );
    });
    call.on("error", reject);
    call.end(body);
  });
}

describe("the admin server", () => {
  it("says that it lives and whether it is ready", async () => {
    await start();
    expect(await send("GET", "/healthz")).toMatchObject({ status: 200, body: "ok\n" });
    expect(await send("GET", "/readyz")).toMatchObject({ status: 200, body: "ready\n" });
    for (const other of ["starting", "degraded", "draining"] as const) {
      state = other;
      expect(await send("GET", "/readyz")).toMatchObject({ status: 503, body: `${other}\n` });
    }
    expect((await send("GET", "/healthz")).status).toBe(200);
  });

  it("serves the metrics, and 503 rather than half of them", async () => {
    await start();
    const good = await send("GET", "/metrics");
    expect(good.headers["content-type"]).toContain("version=0.0.4");
    expect(good.body).toContain('longsplice_connections_total{listener="127.0.0.1:8080"} 6');
    workersAnswer = false;
    expect((await send("GET", "/metrics")).status).toBe(503);
  });

  it("shows the status", async () => {
    await start();
    const status: Status = JSON.parse((await send("GET", "/api/v1/status?x=1")).body);
    expect(status).toMatchObject({
      version: "1.2.3",
      pid: process.pid,
      state: "ready",
      config: { file: "/etc/ls.yaml", generation: 2, loadedAt: "1970-01-01T00:00:00.000Z" },
      listeners: [
        { address: "127.0.0.1:8080", accepted: 6, active: 2 },
        { address: "127.0.0.1:8081", accepted: 0, active: 0 },
      ],
      routes: [{ label: "*", requests: 6 }],
      totals: { requests: 6, byClass: { "2xx": 4, "5xx": 2 }, connections: 6, activeConnections: 2 },
    });
    expect(status.pools[0]?.backends[0]).toMatchObject({ address: "127.0.0.1:9001", latencyMs: 1.5 });
    expect(status.countersAgeMs).toBeLessThan(10_000);
  });

  it("shows the last counters, with their age, when a worker does not answer", async () => {
    await start();
    await send("GET", "/api/v1/status");
    workersAnswer = false;
    await new Promise((resolve) => setTimeout(resolve, 20));
    const status: Status = JSON.parse((await send("GET", "/api/v1/status")).body);
    expect(status.totals.requests).toBe(6);
    expect(status.countersAgeMs).toBeGreaterThanOrEqual(15);
  });

  it.each([
    ["127.0.0.1:9001", "127.0.0.1:9001"],
    ["127.0.0.1:9001", "127.0.0.1%3A9001"],
    ["unix:/run/b.sock", "unix:/run/b.sock"],
    ["unix:/run/b.sock", encodeURIComponent("unix:/run/b.sock")],
  ])("drains and enables %s, written %s", async (address, written) => {
    await start();
    const drained = await send("POST", `/api/v1/backends/api/${written}/drain`);
    expect(drained.status).toBe(200);
    expect(JSON.parse(drained.body)).toMatchObject({ pool: "api", address, health: "draining" });
    expect(backends.filter((b) => b.health === "draining").map((b) => b.address)).toEqual([address]);
    await send("POST", `/api/v1/backends/api/${written}/enable`);
    expect(backends.some((b) => b.health === "draining")).toBe(false);
  });

  it("names the backends it knows when asked for another", async () => {
    await start();
    const answer = await send("POST", "/api/v1/backends/api/127.0.0.1:1/drain");
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.body).known).toContainEqual({ pool: "api", address: "127.0.0.1:9001" });
    expect((await send("POST", "/api/v1/backends/api/%zz/drain")).status).toBe(404);
  });

  it("answers 404 and 405 as JSON", async () => {
    await start();
    const missing = await send("GET", "/nothing");
    expect(missing.status).toBe(404);
    expect(JSON.parse(missing.body).pages).toContain("/metrics");
    expect(await send("POST", "/healthz")).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
    const read = await send("GET", "/api/v1/backends/api/127.0.0.1:9001/drain");
    expect(read).toMatchObject({ status: 405, headers: { allow: "POST" } });
    expect(await send("HEAD", "/healthz")).toMatchObject({ status: 200, body: "" });
  });

  it("serves a dashboard that needs nothing else and may load nothing else", async () => {
    await start();
    const page = await send("GET", "/");
    expect(page.status).toBe(200);
    expect(page.headers["content-security-policy"]).toMatch(/^default-src 'none'; style-src 'sha256-/);
    expect(page.body).toMatch(/<style>[^<]+<\/style>/);
    expect(page.body).not.toMatch(/(?:src|href)="(?!api\/v1\/status|data:)/);
  });

  it("ends the connection of a client whose body does not end", async () => {
    const { address } = await start();
    const client = connect(Number(address.split(":")[1]), "127.0.0.1");
    client.on("error", () => {});
    client.resume();
    const closed = once(client, "close");
    client.write("POST /healthz HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nffffff\r\n");
    client.write("x".repeat(64 * 1024));
    const outcome = await Promise.race([closed.then(() => "closed"), sleep(3000, "open", { ref: false })]);
    client.destroy();
    expect(outcome).toBe("closed");
    expect((await send("GET", "/healthz")).status).toBe(200);
  });

  it("explains an address that is taken", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const { port } = other.address() as AddressInfo;
    await expect(start({ kind: "tcp", host: "127.0.0.1", port })).rejects.toMatchObject({
      code: "LS_ADMIN_ADDRESS_IN_USE",
    });
    other.close();
  });

  it("explains an address that cannot be bound", async () => {
    await expect(start({ kind: "unix", path: join(folder, "no", "such", "dir") })).rejects.toMatchObject({
      code: "LS_ADMIN_LISTEN",
    });
  });

  it("listens on a socket file, and replaces a stale one but not one in use", async () => {
    const path = join(folder, "admin.sock");
    const gone = createServer().listen(join(folder, "gone.sock"));
    await new Promise((resolve) => gone.once("listening", resolve));
    // Closing removes the file under its first name; the second stays behind, as after a kill.
    linkSync(join(folder, "gone.sock"), path);
    await new Promise((resolve) => gone.close(resolve));
    const first = await start({ kind: "unix", path });
    expect(first.address).toBe(`unix:${path}`);
    expect((await send("POST", "/api/v1/backends/api/127.0.0.1:9001/drain", { host: "x" })).status).toBe(200);
    await expect(start({ kind: "unix", path })).rejects.toMatchObject({ code: "LS_ADMIN_ADDRESS_IN_USE" });
  });

  it("closes twice without harm, and frees the port", async () => {
    const { address, close } = await start();
    await Promise.all([close(), close()]);
    const port = Number(address.split(":")[1]);
    await start({ kind: "tcp", host: "127.0.0.1", port });
    expect((await send("GET", "/healthz")).status).toBe(200);
  });
});

describe("the guard", () => {
  const drain = "/api/v1/backends/api/127.0.0.1:9001/drain";
  const bearer = { authorization: "Bearer secret" };

  it("answers only under a name that cannot be rebound", async () => {
    const { address } = await start();
    const port = address.split(":")[1];
    for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, "[::1]", "LOCALHOST"]) {
      expect((await send("GET", "/api/v1/status", { host })).status, host).toBe(200);
    }
    for (const host of ["evil.example", `localhost.evil.example:${port}`, "127.0.0.1.evil.example"]) {
      expect((await send("GET", "/api/v1/status", { host })).status, host).toBe(403);
    }
  });

  it("refuses changes that a page of another origin asks for", async () => {
    const { address } = await start();
    expect((await send("POST", drain, { origin: "https://evil.example" })).status).toBe(403);
    expect((await send("POST", drain, { origin: "null" })).status).toBe(403);
    expect((await send("POST", drain, { origin: "http://127.0.0.1:1" })).status).toBe(403);
    expect(backends[0]?.health).toBe("healthy");
    expect((await send("POST", drain, { host: address, origin: `http://${address}` })).status).toBe(200);
  });

  it("wants the token for changes once one is configured", async () => {
    await start(loopback, "secret");
    expect(await send("POST", drain)).toMatchObject({
      status: 401,
      headers: { "www-authenticate": "Bearer" },
    });
    expect((await send("POST", drain, { authorization: "Bearer secreT" })).status).toBe(401);
    expect((await send("POST", drain, { authorization: "Basic secret" })).status).toBe(401);
    expect((await send("GET", "/api/v1/status")).status).toBe(200);
    expect(backends[0]?.health).toBe("healthy");
    expect((await send("POST", drain, bearer)).status).toBe(200);
    expect((await send("GET", "/metrics", { ...bearer, host: "admin.example" })).status).toBe(200);
  });

  it("lets the network read, and change nothing without a token", () => {
    const call = { host: "proxy.example", origin: undefined, authorization: undefined };
    expect(refuse({ ...call, method: "GET" }, "network", undefined)).toBeNull();
    expect(refuse({ ...call, method: "POST" }, "network", undefined)).toMatchObject({ status: 403 });
    expect(refuse({ ...call, method: "POST" }, "network", "secret")).toMatchObject({ status: 401 });
    expect(refuse({ ...call, ...bearer, method: "POST" }, "network", "secret")).toBeNull();
  });
});
