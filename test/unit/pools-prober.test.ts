import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server as TcpServer,
} from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Address } from "../../src/pools/address.js";
import { type BackendCheck, type Probe, type ProbeResult, probe } from "../../src/pools/probe.js";
import { Prober } from "../../src/pools/prober.js";
import { PATIENCE_MS } from "../support/wait.js";

const check: BackendCheck = {
  type: "http",
  path: "/healthz?deep=1",
  status: [[200, 399]],
  interval: 1000,
  fastInterval: 300,
  // Long enough for a machine that stalls: this process is the backend as well.
  timeout: 1_500,
  rise: 2,
  fall: 3,
  proxyProtocol: "none",
};
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function listen(server: Server | TcpServer, path?: string): Promise<Address> {
  server.listen(path === undefined ? { host: "127.0.0.1", port: 0 } : { path });
  await once(server, "listening");
  cleanups.push(() => {
    if ("closeAllConnections" in server) server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  if (path !== undefined) return { kind: "unix", path };
  return { kind: "tcp", host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}

const answer =
  (status: number, headers = {}): RequestListener =>
  (_request, response) => {
    response.writeHead(status, headers).end("body");
  };
/** Where connections are neither made nor refused: nobody accepts, and the queue of those that wait for it is full. */
async function silentAddress(): Promise<Address> {
  const code = `
    const server = require("node:net").createServer().listen({ host: "127.0.0.1", port: 0, backlog: 1 }, () => {
      require("node:worker_threads").parentPort.postMessage(server.address().port);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000);
    });`;
  const worker = new Worker(code, { eval: true });
  cleanups.push(() => worker.terminate());
  const [port] = (await once(worker, "message")) as [number];
  for (let i = 0; i < 4; i++) {
    const waiting = connect(port, "127.0.0.1").on("error", () => {});
    cleanups.push(() => waiting.destroy());
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  return { kind: "tcp", host: "127.0.0.1", port };
}
const ask = (address: Address, change: Partial<BackendCheck> = {}) =>
  probe(address, { ...check, ...change }, AbortSignal.timeout(check.timeout));

describe("a check over HTTP", () => {
  it.each([
    [200, true],
    [204, true],
    [302, true],
    [404, false],
    [503, false],
  ])("takes status %i for passed: %s", async (status, passed) => {
    const address = await listen(createServer(answer(status, { location: "/elsewhere" })));
    expect(await ask(address)).toEqual({ passed, detail: `status ${status}` });
  });

  it.each([
    ["v1", "PROXY UNKNOWN\r\n"],
    ["v2", "\r\n\r\n\0\r\nQUIT\n \0\0\0"],
  ] as const)("begins with a PROXY header where the pool has %s", async (proxyProtocol, header) => {
    let seen = "";
    const server = createTcpServer((socket) =>
      socket.on("data", (bytes) => {
        seen += bytes.toString("latin1");
        if (seen.includes(" HTTP/1.1\r\n")) socket.end("HTTP/1.1 204 No Content\r\n\r\n");
      }),
    );
    const address = await listen(server);
    const result = await ask(address, { proxyProtocol });
    expect(result).toEqual({ passed: true, detail: "status 204" });
    expect(seen.startsWith(`${header}GET /healthz?deep=1 HTTP/1.1\r\n`)).toBe(true);
  });

  it("asks for the path on a connection of its own, every time", async () => {
    const seen: (string | undefined)[] = [];
    let connections = 0;
    const server = createServer((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.host} ${request.headers.connection}`);
      response.end();
    }).on("connection", () => connections++);
    const address = await listen(server);
    await ask(address);
    await ask(address);
    const { port } = server.address() as AddressInfo;
    expect(seen).toEqual(Array(2).fill(`GET /healthz?deep=1 127.0.0.1:${port} close`));
    expect(connections).toBe(2);
  });

  it("passes only with a status that is expected", async () => {
    const status = [
      [200, 200],
      [418, 420],
    ] as const;
    const expected = async (code: number) => {
      return (await ask(await listen(createServer(answer(code))), { status })).passed;
    };
    expect(await Promise.all([200, 201, 417, 418, 420, 421].map(expected))).toEqual([
      true,
      false,
      false,
      true,
      true,
      false,
    ]);
  });

  it("passes only with the text that is expected in the body, also if it comes in pieces", async () => {
    const address = await listen(
      createServer((_request, response) => {
        response.write("all is w");
        setTimeout(() => response.end("ell"), 10);
      }),
    );
    expect(await ask(address, { body: "is well" })).toEqual({ passed: true, detail: "status 200" });
    expect(await ask(address, { body: "is bad" })).toEqual({
      passed: false,
      detail: 'status 200 without "is bad"',
    });
  });

  it("looks for a text no longer than the timeout, and no further than 64 KiB", async () => {
    const slow = await listen(createServer((_request, response) => void response.write("x")));
    expect(await ask(slow, { body: "y" })).toEqual({ passed: false, detail: "no answer within 1500 ms" });
    const long = await listen(
      createServer((_request, response) => void response.write(`${"x".repeat(2 ** 17)}y`)),
    );
    expect((await ask(long, { body: "y" })).passed).toBe(false);
  });

  it("asks another host and port if it is told to", async () => {
    let host: string | undefined;
    const address = await listen(
      createServer((request, response) => {
        host = request.headers.host;
        response.end();
      }),
    );
    const { port } = address as { port: number };
    const elsewhere: Address = { kind: "tcp", host: "127.0.0.1", port: 1 };
    expect((await ask(elsewhere, { port, host: "www.example.com" })).passed).toBe(true);
    expect(host).toBe("www.example.com");
  });

  it("works over a unix socket", async () => {
    const folder = await mkdtemp(join(tmpdir(), "longsplice-probe-"));
    cleanups.push(() => rm(folder, { recursive: true }));
    const address = await listen(createServer(answer(200)), join(folder, "app.sock"));
    expect(await ask(address)).toEqual({ passed: true, detail: "status 200" });
  });

  it("fails where nobody listens", async () => {
    const server = createTcpServer();
    const address = await listen(server);
    await cleanups.pop()?.();
    const result = await ask(address);
    expect(result.passed).toBe(false);
    expect(result.detail).toContain("ECONNREFUSED");
  });

  it("fails if there is no head in time", async () => {
    const address = await listen(createServer(() => {}));
    expect(await ask(address)).toEqual({ passed: false, detail: "no answer within 1500 ms" });
  });

  it.each(["none", "v1"] as const)(
    "fails if there is no connection in time, and leaves none (PROXY %s)",
    async (proxyProtocol) => {
      const address = await silentAddress();
      const sockets = () => process.getActiveResourcesInfo().filter((each) => each.startsWith("TCP")).length;
      const before = sockets();
      const started = performance.now();
      expect(await ask(address, { proxyProtocol })).toEqual({
        passed: false,
        detail: "no answer within 1500 ms",
      });
      expect(performance.now() - started).toBeLessThan(10_000);
      await vi.waitFor(() => expect(sockets()).toBeLessThanOrEqual(before), PATIENCE_MS);
    },
  );

  it("leaves no connection when it is called off before it has one", async () => {
    let open = 0;
    const server = createServer().on("connection", (socket) => {
      open++;
      socket.on("close", () => open--);
    });
    const address = await listen(server);
    const all = [0, 0, 0, 1, 2, 3].map(async (microtasks) => {
      const calledOff = new AbortController();
      const result = probe(address, check, calledOff.signal);
      for (let i = 0; i < microtasks; i++) await Promise.resolve();
      calledOff.abort();
      expect((await result).passed).toBe(false);
    });
    await Promise.all(all);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await vi.waitFor(() => expect(open).toBe(0), PATIENCE_MS);
  });

  it("passes on the status alone, and gives up on a body without end", async () => {
    const endless: RequestListener = (_request, response) => {
      const timer = setInterval(() => response.write("x".repeat(1024)), 10);
      response.on("close", () => clearInterval(timer));
    };
    const address = await listen(createServer(endless));
    expect(await ask(address)).toEqual({ passed: true, detail: "status 200" });
  });

  it("fails if the answer is no HTTP", async () => {
    const address = await listen(createTcpServer((socket) => socket.resume().end("SSH-2.0-x\r\n")));
    expect((await ask(address)).passed).toBe(false);
  });
});

describe("a check over TCP", () => {
  const tcp = { type: "tcp" } as const;

  it("passes where somebody accepts, and says no word", async () => {
    let seen = "";
    let closed = false;
    const server = createTcpServer((socket) => {
      socket.on("data", (bytes) => (seen += bytes));
      socket.on("close", () => (closed = true));
    });
    expect(await ask(await listen(server), tcp)).toEqual({ passed: true, detail: "connected" });
    await vi.waitFor(() => expect(closed).toBe(true), PATIENCE_MS);
    expect(seen).toBe("");
  });

  it("begins with a PROXY header where the pool has one", async () => {
    let seen = "";
    const server = createTcpServer((socket) => socket.on("data", (bytes) => (seen += bytes)));
    await ask(await listen(server), { ...tcp, proxyProtocol: "v1" });
    await vi.waitFor(() => expect(seen).toBe("PROXY UNKNOWN\r\n"), PATIENCE_MS);
  });

  it("fails where nobody listens, or does not answer in time", async () => {
    const gone = await listen(createTcpServer());
    await cleanups.pop()?.();
    const refused = await ask(gone, tcp);
    expect(refused.passed).toBe(false);
    expect(refused.detail).toContain("ECONNREFUSED");
    const aborted = AbortSignal.abort();
    const silent = await probe({ kind: "tcp", host: "127.0.0.1", port: 9 }, { ...check, ...tcp }, aborted);
    expect(silent).toEqual({ passed: false, detail: "no answer within 1500 ms" });
  });
});

describe("the prober", () => {
  const address: Address = { kind: "tcp", host: "127.0.0.1", port: 1 };
  const fake = (probe: Probe, random = () => 0.5, doubtful = () => false) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const results: ProbeResult[] = [];
    const onResult = (result: ProbeResult) => {
      results.push(result);
      return doubtful();
    };
    const prober = new Prober(address, check, onResult, { probe, random });
    cleanups.push(() => prober.stop());
    return { prober, results };
  };
  const passed = { passed: true, detail: "" };

  it("checks soon after the start, then once per interval", async () => {
    const probe = vi.fn(async () => passed);
    fake(probe);
    await vi.advanceTimersByTimeAsync(50);
    expect(probe).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(probe).toHaveBeenCalledTimes(11);
  });

  it("checks again after the fast interval while there is doubt", async () => {
    let doubt = true;
    const probe = vi.fn(async () => passed);
    fake(
      probe,
      () => 0.5,
      () => doubt,
    );
    await vi.advanceTimersByTimeAsync(50 + 3 * 300);
    expect(probe).toHaveBeenCalledTimes(4);
    doubt = false;
    await vi.advanceTimersByTimeAsync(300 + 999);
    expect(probe).toHaveBeenCalledTimes(5);
    await vi.advanceTimersByTimeAsync(1);
    expect(probe).toHaveBeenCalledTimes(6);
  });

  it("lets the pauses vary by a tenth", async () => {
    const times: number[] = [];
    let random = 0;
    fake(
      async () => {
        times.push(performance.now());
        return passed;
      },
      () => {
        random = random === 0 ? 0.999 : 0;
        return random;
      },
    );
    await vi.advanceTimersByTimeAsync(5000);
    const pauses = times.slice(1).map((time, i) => time - (times[i] as number));
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(899);
    expect(Math.min(...pauses)).toBeLessThanOrEqual(901);
    expect(Math.max(...pauses)).toBeGreaterThanOrEqual(1099);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(1101);
  });

  it("counts the time of a slow check as part of the interval, and never checks twice at once", async () => {
    let running = 0;
    let most = 0;
    const probe = vi.fn(async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      running--;
      return passed;
    });
    fake(probe);
    await vi.advanceTimersByTimeAsync(50 + 4 * 1500);
    expect(most).toBe(1);
    expect(probe.mock.calls.length).toBeGreaterThanOrEqual(4);
  });

  it("breaks off a check after the timeout", async () => {
    const probe: Probe = (_address, _check, signal) =>
      new Promise((resolve) => {
        signal.addEventListener("abort", () => resolve({ passed: false, detail: "aborted" }));
      });
    const { results } = fake(probe);
    await vi.advanceTimersByTimeAsync(1_549);
    expect(results).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(results).toEqual([{ passed: false, detail: "aborted" }]);
  });

  it("after stop() checks no more, and reports nothing of the check under way", async () => {
    let aborted = false;
    const probe: Probe = (_address, _check, signal) =>
      new Promise((resolve) => {
        signal.addEventListener("abort", () => {
          aborted = true;
          resolve(passed);
        });
      });
    const { prober, results } = fake(probe);
    await vi.advanceTimersByTimeAsync(60);
    prober.stop();
    prober.stop();
    await vi.advanceTimersByTimeAsync(5000);
    expect(aborted).toBe(true);
    expect(results).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
