import { expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { type RunningProxy, startProxy } from "../support/proxy.js";
import { delay } from "../support/wait.js";
import { WARM_UP_TARGET } from "../support/warm-up.js";
import { Wire } from "../support/wire.js";

forEachEngine("the access log as JSON", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(
    engine,
    () => ({
      config: {
        accessLog: "json",
        routes: [
          { match: { path: "/a" }, pool: "main", setRequestHeaders: { "x-request-id": "{request.id}" } },
        ],
        pools: { main: { backends: [{ address: origin.address }] } },
      },
      warmUp: false,
    }),
    // Each connection makes one request.
    { linked: false },
  );
  const lines = (proxy: RunningProxy) => proxy.logs.filter((line) => "target" in line);
  /** The only line that was written since `from`. */
  const line = async (from: number) => {
    await expect.poll(() => lines(proxy).length).toBe(from + 1);
    return lines(proxy)[from]!;
  };

  it("says who asked for what, what came, how long it took, and who served it", async () => {
    origin.answer(async () => {
      await delay(50);
      return ok("12345");
    });
    const from = lines(proxy).length;
    const client = await proxy.connect();
    await client.send(request("POST /a?q=1 HTTP/1.1", { body: "abc" }));
    await readResponse(client);
    const seen = await line(from);
    expect(seen).toMatchObject({
      client: `127.0.0.1:${client.socket.localPort}`,
      method: "POST",
      target: "/a?q=1",
      host: "test.example",
      protocol: "HTTP/1.1",
      status: 200,
      bytes: 5,
      pool: "main",
      backend: origin.address,
      // Also by the pipe engine: the body comes together with the head.
      engine: "copy",
      id: origin.requests[0]!.fields.get("x-request-id"),
    });
    expect(seen.duration_ms).toBeGreaterThanOrEqual(45);
    expect(seen.head_ms).toBeGreaterThanOrEqual(45);
    expect(Math.abs(Date.parse(String(seen.time)) - Date.now())).toBeLessThan(10_000);
  });

  it("has a line for a request that reached no backend", async () => {
    const from = lines(proxy).length;
    await proxy.exchange(request("GET /nowhere HTTP/1.1"));
    expect(await line(from)).toMatchObject({ target: "/nowhere", status: 404, backend: "" });
  });

  it("has a whole line for every request, also where they come faster than lines are handed over", async () => {
    const from = lines(proxy).length;
    const count = 3000;
    const targets = Array.from({ length: count }, (_, index) => `/nowhere/${"x".repeat(100)}/${index}`);
    const client = await proxy.connect();
    await client.send(targets.map((target) => request(`GET ${target} HTTP/1.1`)).join(""));
    for (let i = 0; i < count; i++) expect((await readResponse(client)).status).toBe(404);
    await expect.poll(() => lines(proxy).length).toBe(from + count);
    const seen = lines(proxy).slice(from);
    expect(seen.map(({ target }) => target)).toEqual(targets);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(count);
    expect(proxy.otherLines).toEqual([]);
  });

  it("says no protocol where no request was understood", async () => {
    const from = lines(proxy).length;
    await proxy.exchange("nonsense\r\n\r\n");
    expect(await line(from)).toMatchObject({ method: "-", target: "-", protocol: "", status: 400 });
  });

  it("puts an IPv6 address in brackets", async () => {
    origin.answer(ok());
    const v6 = await startProxy({
      engine,
      config: {
        listeners: [{ address: "[::1]:0" }],
        accessLog: "json",
        routes: [{ match: {}, pool: "main" }],
        pools: { main: { backends: [{ address: origin.address }] } },
      },
    });
    const client = await Wire.connect(v6.port, "::1");
    await client.send(request());
    await readResponse(client);
    await expect.poll(() => lines(v6)).toHaveLength(1);
    expect(lines(v6)[0]!.client).toBe(`[::1]:${client.socket.localPort}`);
  });

  it("escapes what a client sent, so that it cannot forge a line", async () => {
    origin.answer(ok());
    const from = lines(proxy).length;
    await proxy.exchange(request('GET /a?"b\\c","status":500 HTTP/1.1'));
    expect(await line(from)).toMatchObject({ target: '/a?"b\\c","status":500', status: 200 });
  });
});

forEachEngine("the access log in the combined format", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address], config: { accessLog: "combined" } }));

  it("is what other tools read", async () => {
    origin.answer(ok("12345"));
    const headers = ["referer: http://from.example/", 'user-agent: a "quoted" agent'];
    await proxy.exchange(request("GET /a?q=1 HTTP/1.1", { headers }));
    const lines = () => proxy.otherLines.filter((line) => !line.includes(WARM_UP_TARGET));
    await expect.poll(lines).toHaveLength(1);
    expect(lines()[0]).toMatch(
      /^127\.0\.0\.1 - - \[\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET \/a\?q=1 HTTP\/1\.1" 200 5 "http:\/\/from\.example\/" "a \\x22quoted\\x22 agent"$/,
    );
  });
});
