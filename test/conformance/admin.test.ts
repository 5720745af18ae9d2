import { expect, it } from "vitest";
import { ok, request, response } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";

forEachEngine("admin", (engine) => {
  const first = useRawOrigin();
  const second = useRawOrigin();
  const proxy = useProxy(engine, () => ({
    config: {
      routes: [{ match: {}, pool: "main" }],
      pools: {
        main: { policy: "round-robin", backends: [{ address: first.address }, { address: second.address }] },
      },
    },
  }));

  const change = (address: string, action: string, pool = "main") =>
    fetch(`${proxy.adminUrl}/api/v1/backends/${pool}/${encodeURIComponent(address)}/${action}`, {
      method: "POST",
    });

  const answerWith = (bytes: Buffer) => {
    first.answer(bytes);
    second.answer(bytes);
  };

  it.each(["/healthz", "/readyz"])("answers 200 at %s", async (path) => {
    expect((await fetch(proxy.adminUrl + path)).status).toBe(200);
  });

  it("shows an HTML page at /", async () => {
    const page = await fetch(proxy.adminUrl);
    expect([page.status, page.headers.get("content-type")]).toEqual([
      200,
      expect.stringMatching(/^text\/html/),
    ]);
  });

  it("answers 404 to an unknown path and 405 to a wrong method", async () => {
    expect((await fetch(`${proxy.adminUrl}/nothing`)).status).toBe(404);
    expect((await fetch(`${proxy.adminUrl}/metrics`, { method: "POST" })).status).toBe(405);
  });

  it("counts requests by pool, backend and status", async () => {
    const before = await proxy.metrics();
    answerWith(response("201 Created", { body: "" }));
    for (let i = 0; i < 10; i++) await proxy.exchange(request());
    const counts = async () => {
      const after = await proxy.metrics();
      return [first, second].map(({ address }) => {
        const labels = { pool: "main", backend: address, code: "201" };
        const count = (page: typeof after) => page.sum("longsplice_requests_total", labels);
        return count(after) - count(before);
      });
    };
    // A link keeps its client with its backend, and says every 100 ms what passed.
    if (engine !== "packet-connection") await expect.poll(counts).toEqual([5, 5]);
    await expect.poll(async () => (await counts()).reduce((sum, count) => sum + count)).toBe(10);
  });

  it("counts requests that reached no backend under the pool of their route", async () => {
    const labels = { route: "*", pool: "main", backend: "", code: "503" };
    await change(first.address, "drain");
    await change(second.address, "drain");
    const count = async () => (await proxy.metrics()).sum("longsplice_requests_total", labels);
    const before = await count();
    await proxy.exchange(request(), "GET", proxy.connectCold);
    await expect.poll(count).toBe(before + 1);
    await change(first.address, "enable");
    await change(second.address, "enable");
  });

  it("counts connections, total and active, by listener", async () => {
    const labels = { listener: proxy.listeners[0]! };
    const before = (await proxy.metrics()).sum("longsplice_connections_total", labels);
    answerWith(ok());
    const clients = [await proxy.connect(), await proxy.connect(), await proxy.connect()];
    for (const client of clients) {
      await client.send(request());
      await readResponse(client);
    }
    const during = await proxy.metrics();
    expect(during.sum("longsplice_connections_total", labels) - before).toBe(3);
    const active = async () => (await proxy.metrics()).sum("longsplice_connections_active", labels);
    const most = await active();
    expect(most).toBeGreaterThanOrEqual(3);
    for (const client of clients) client.destroy();
    await expect.poll(active).toBeLessThanOrEqual(most - 3);
  });

  it("counts the bytes that were moved, both ways", async () => {
    const bytes = async (direction: string) =>
      (await proxy.metrics()).sum("longsplice_forwarded_bytes_total", { direction });
    const before = [await bytes("upstream"), await bytes("downstream")] as const;
    answerWith(ok(Buffer.alloc(50_000)));
    await proxy.exchange(request("POST / HTTP/1.1", { body: Buffer.alloc(30_000) }));
    const up = async () => (await bytes("upstream")) - before[0];
    const down = async () => (await bytes("downstream")) - before[1];
    await expect.poll(up).toBeGreaterThanOrEqual(30_000);
    await expect.poll(down).toBeGreaterThanOrEqual(50_000);
    expect(await up()).toBeLessThan(31_000);
    expect(await down()).toBeLessThan(51_000);
  });

  it("measures the time of requests and of decisions", async () => {
    const before = await proxy.metrics();
    answerWith(ok());
    for (let i = 0; i < 5; i++) await proxy.exchange(request(), "GET", proxy.connectCold);
    const requests = (page: typeof before) => page.sum("longsplice_request_seconds_count");
    await expect.poll(async () => requests(await proxy.metrics()) - requests(before)).toBe(5);
    const after = await proxy.metrics();
    for (const name of ["longsplice_request_seconds", "longsplice_decision_seconds"]) {
      expect(after.sum(`${name}_count`) - before.sum(`${name}_count`)).toBe(5);
      expect(after.sum(`${name}_bucket`, { le: "+Inf" })).toBe(after.sum(`${name}_count`));
      expect(after.sum(`${name}_sum`)).toBeGreaterThan(before.sum(`${name}_sum`));
    }
  });

  it("sends nothing to a drained backend until it is enabled again", async () => {
    answerWith(ok());
    expect((await change(first.address, "drain")).status).toBe(200);
    for (let i = 0; i < 6; i++) await proxy.exchange(request());
    expect([first.requests.length, second.requests.length]).toEqual([0, 6]);
    expect((await change(first.address, "enable")).status).toBe(200);
    for (let i = 0; i < 6; i++) await proxy.exchange(request(), "GET", proxy.connectCold);
    expect(first.requests).toHaveLength(3);
  });

  it("lets a request that runs on a backend finish when the backend is drained", async () => {
    const answerAfterDrain = async () => {
      await change(first.address, "drain");
      await change(second.address, "drain");
      return ok("finished");
    };
    first.answer(answerAfterDrain);
    second.answer(answerAfterDrain);
    expect((await proxy.exchange(request())).body.toString()).toBe("finished");
    await change(first.address, "enable");
    await change(second.address, "enable");
  });

  it("answers 404 to a change of an unknown backend or pool", async () => {
    expect((await change("127.0.0.1:1", "drain")).status).toBe(404);
    expect((await change(first.address, "drain", "nothing")).status).toBe(404);
  });

  it("shows pools and backends in the status", async () => {
    const status = await proxy.status();
    expect(status).toMatchObject({
      pid: proxy.pid,
      state: "ready",
      pools: [{ name: "main", backends: [{ address: first.address }, { address: second.address }] }],
    });
  });
});

forEachEngine("health checks", (engine) => {
  const well = useRawOrigin();
  const ill = useRawOrigin();
  const proxy = useProxy(engine, () => ({
    config: {
      routes: [{ match: {}, pool: "main" }],
      pools: {
        main: {
          backends: [{ address: well.address }, { address: ill.address }],
          health: { path: "/healthz", interval: "50ms", timeout: "2s", rise: 2, fall: 2 },
        },
      },
    },
  }));

  const healthy = async (backend: string) =>
    (await proxy.metrics()).sum("longsplice_backend_healthy", { pool: "main", backend });
  /** Also the metric: it is 1 as well while nothing is known, so that a first check may still fail. */
  const verdict = async ({ address }: { address: string }) => {
    const { pools } = (await proxy.status()) as {
      pools: { backends: { address: string; health: string }[] }[];
    };
    const { health } = pools[0]!.backends.find((backend) => backend.address === address)!;
    return [health, await healthy(address)];
  };

  it("takes a backend out when its check fails, and in again when it passes", async () => {
    const fine = (target: string) => (target === "/healthz" ? ok("fine") : ok("served"));
    well.answer((message) => fine(message.target));
    ill.answer((message) => (message.target === "/healthz" ? response("500 Ill", { body: "" }) : ok("ill")));
    await expect.poll(() => verdict(well)).toEqual(["healthy", 1]);
    await expect.poll(() => verdict(ill)).toEqual(["unhealthy", 0]);
    for (let i = 0; i < 6; i++) expect((await proxy.exchange(request())).body.toString()).toBe("served");
    ill.answer((message) => fine(message.target));
    await expect.poll(() => verdict(ill)).toEqual(["healthy", 1]);
    for (let i = 0; i < 6; i++) await proxy.exchange(request());
    expect(ill.requests.filter(({ target }) => target === "/").length).toBeGreaterThan(0);
  });
});
