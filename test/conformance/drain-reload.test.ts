import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ok, request, response } from "../support/build.js";
import { forEachEngine, linksRequests } from "../support/engines.js";
import { expectEngineWorked, startRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { type RunningProxy, startProxy } from "../support/proxy.js";
import { delay, eventually, Gate, within } from "../support/wait.js";
import { Wire } from "../support/wire.js";

const EXIT_MS = 20_000;
const exitOf = (proxy: RunningProxy) => within(proxy.exited, EXIT_MS, "the proxy's exit");

forEachEngine("drain", (engine) => {
  it.each(["SIGTERM", "SIGINT"] as const)(
    "finishes running requests after %s, then exits 0",
    async (signal) => {
      const origin = await startRawOrigin();
      const proxy = await startProxy({
        engine,
        backends: [origin.address],
        config: { timeouts: { drain: "10s" } },
      });
      const rest = new Gate();
      origin.script(async (wire) => {
        await wire.readHead();
        await wire.send(response("200 OK", { headers: ["content-length: 11"] }), "first ");
        await rest.passed;
        await wire.send("later");
      });
      const client = await proxy.connect();
      await client.send(request());
      await client.readHead();
      await expectEngineWorked(proxy, engine);
      proxy.signal(signal);
      await eventually("a refused connection", () => refuses(proxy.port));
      rest.open();
      expect((await client.readExactly(11)).toString()).toBe("first later");
      expect(await client.ended()).toBe("fin");
      expect(await exitOf(proxy)).toBe(0);
    },
  );

  it.each([
    ["the drain time is over", 1],
    ["a second signal ends it at once", 2],
  ])("resets a client whose response would seem whole with a FIN, when %s", async (_, signals) => {
    const origin = await startRawOrigin();
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send("HTTP/1.1 200 OK\r\n\r\nhalf of it");
    });
    const config = { timeouts: { drain: signals === 1 ? "200ms" : "10s" } };
    const proxy = await startProxy({ engine, backends: [origin.address], config });
    const client = await proxy.connect();
    await client.send("GET / HTTP/1.0\r\n\r\n");
    await client.readHead();
    expect((await client.readExactly(10)).toString()).toBe("half of it");
    for (let sent = 0; sent < signals; sent++) {
      proxy.signal("SIGTERM");
      await eventually("a refused connection", () => refuses(proxy.port));
    }
    expect(await client.ended()).toBe("reset");
    expect(await exitOf(proxy)).toBe(0);
  });

  it("closes idle connections at once and does not wait for the drain time", async () => {
    const origin = await startRawOrigin();
    const proxy = await startProxy({
      engine,
      backends: [origin.address],
      config: { timeouts: { drain: "30s" } },
    });
    origin.answer(ok());
    const client = await proxy.connect();
    await client.send(request());
    await readResponse(client);
    const start = performance.now();
    proxy.signal("SIGTERM");
    expect(await client.readToEnd()).toHaveLength(0);
    expect(await exitOf(proxy)).toBe(0);
    expect(performance.now() - start).toBeLessThan(20_000);
  });

  it("says connection: close in responses that it gives while it drains", async () => {
    const origin = await startRawOrigin();
    const proxy = await startProxy({
      engine,
      backends: [origin.address],
      config: { timeouts: { drain: "10s" } },
    });
    origin.answer(async () => {
      proxy.signal("SIGTERM");
      await eventually("a refused connection", () => refuses(proxy.port));
      return ok("last");
    });
    const answer = await proxy.exchange(request());
    // On a link the response is the backend's own.
    const connection = linksRequests(engine) ? undefined : "close";
    expect([answer.body.toString(), answer.fields.get("connection")]).toEqual(["last", connection]);
    expect(await exitOf(proxy)).toBe(0);
  });

  it("cuts what still runs when the drain time is over, and exits 0", async () => {
    const origin = await startRawOrigin();
    const proxy = await startProxy({
      engine,
      backends: [origin.address],
      config: { timeouts: { drain: "400ms" } },
    });
    origin.script(async (wire) => {
      await wire.readHead();
    });
    const client = await proxy.connect();
    await client.send(request());
    await origin.connection();
    const start = performance.now();
    proxy.signal("SIGTERM");
    await client.ended();
    expect(await exitOf(proxy)).toBe(0);
    expect(performance.now() - start).toBeGreaterThan(350);
  });

  it("exits at once after a second SIGTERM", async () => {
    const origin = await startRawOrigin();
    const proxy = await startProxy({
      engine,
      backends: [origin.address],
      config: { timeouts: { drain: "30s" } },
    });
    origin.script(async (wire) => {
      await wire.readHead();
    });
    const client = await proxy.connect();
    await client.send(request());
    await origin.connection();
    proxy.signal("SIGTERM");
    await eventually("a refused connection", () => refuses(proxy.port));
    expect(client.end).toBeUndefined();
    proxy.signal("SIGTERM");
    await exitOf(proxy);
  });
});

forEachEngine("reload", (engine) => {
  const config = (address: string, path = "/") => ({
    routes: [{ match: { path }, pool: "main" }],
    pools: { main: { backends: [{ address }] } },
  });

  /** Polls until the answer to a request for that path is what the new configuration gives. */
  const becomes = (proxy: RunningProxy, path: string, expected: string) =>
    expect
      .poll(async () => {
        const answer = await proxy.exchange(request(`GET ${path} HTTP/1.1`));
        return answer.status === 200 ? answer.body.toString() : String(answer.status);
      })
      .toBe(expected);

  async function startWithTwoOrigins() {
    const [old, fresh] = [await startRawOrigin(), await startRawOrigin()];
    old.answer(ok("old"));
    fresh.answer(ok("new"));
    return { old, fresh, proxy: await startProxy({ engine, config: config(old.address) }) };
  }

  it("takes new routes and backends on SIGHUP, also on connections that are open", async () => {
    const { fresh, proxy } = await startWithTwoOrigins();
    const client = await proxy.connect();
    await client.send(request());
    expect((await readResponse(client)).body.toString()).toBe("old");
    proxy.reload(config(fresh.address, "/moved/"));
    await becomes(proxy, "/moved/", "new");
    await becomes(proxy, "/", "404");
    await client.send(request("GET /moved/ HTTP/1.1"));
    expect((await readResponse(client)).body.toString()).toBe("new");
    await expectEngineWorked(proxy, engine);
    await proxy.stop();
  });

  it("lets a request that runs finish on the backend that it began on", async () => {
    const { old, fresh, proxy } = await startWithTwoOrigins();
    const rest = new Gate();
    old.answer(async () => {
      await rest.passed;
      return ok("old, finished");
    });
    const client = await proxy.connect();
    await client.send(request());
    await old.request();
    proxy.reload(config(fresh.address));
    // Who asks before has to wait for the old one.
    await proxy.logged("configuration reloaded");
    await becomes(proxy, "/", "new");
    rest.open();
    expect((await readResponse(client)).body.toString()).toBe("old, finished");
    await proxy.stop();
  });

  it("refuses a bad file, says why, and changes nothing", async () => {
    const { proxy } = await startWithTwoOrigins();
    const before = proxy.logs.length;
    proxy.reload(readFileSync(proxy.configFile, "utf8").replace("pool: main", "pool: mian"));
    await expect
      .poll(() => JSON.stringify(proxy.logs.slice(before).filter(({ level }) => level === "error")))
      .toContain("mian");
    await becomes(proxy, "/", "old");
    const backends = [{ address: "127.0.0.1:1", labels: { priority: "first" } }];
    proxy.reload({ ...config(""), pools: { main: { policy: "priority", backends } } });
    await expect
      .poll(() => JSON.stringify(proxy.logs.slice(before).filter(({ level }) => level === "error")))
      .toMatch(/longsplice\.yaml:\d+:\d+: pools\.main\.backends\[0\]: .*from 0 to 31, not/);
    await becomes(proxy, "/", "old");
    proxy.reload("listeners: [");
    await delay(300);
    await becomes(proxy, "/", "old");
    await proxy.stop();
  });

  it("takes no request to another pool's backend on the connection of one that waited meanwhile", async () => {
    const [bad, good, other] = [await startRawOrigin(), await startRawOrigin(), await startRawOrigin()];
    let failed = 0;
    bad.script(async (wire) => {
      await wire.readHead();
      failed++;
      wire.reset();
    });
    const gates = [new Gate(), new Gate()];
    good.answer(async () => {
      await gates[good.requests.length - 1]?.passed;
      return ok("good");
    });
    other.answer(ok("other"));
    const a = {
      backends: [{ address: bad.address }, { address: good.address, weight: 0 }],
      retries: { percent: 0, min: 1 },
    };
    const b = { backends: [{ address: other.address }] };
    const timeouts = { queue: "60s" };
    const routes = ["a", "b"].map((pool) => ({ match: { path: `/${pool}` }, pool }));
    const proxy = await startProxy({
      engine,
      config: { routes, pools: { a, b }, timeouts },
      warmUp: false,
    });
    const [first, second] = [await proxy.connect(), await proxy.connect()];
    await first.send(request("GET /a HTTP/1.1"));
    await good.request();
    const ask = async (path: string) => {
      await second.send(request(`GET ${path} HTTP/1.1`));
      return (await readResponse(second)).body.toString();
    };
    // What was served before may be linked.
    expect(await ask("/b")).toBe("other");
    const waited = ask("/a");
    await eventually("its failure", () => failed === 2);
    proxy.reload({ routes, pools: { b, a }, timeouts });
    await proxy.logged("configuration reloaded");
    gates[0]!.open();
    expect((await readResponse(first)).body.toString()).toBe("good");
    await good.request(1);
    gates[1]!.open();
    expect(await waited).toBe("good");
    expect(await ask("/b")).toBe("other");
    await proxy.stop();
  });
});

const refuses = (port: number): Promise<boolean> =>
  Wire.connect(port).then(
    (wire) => {
      wire.destroy();
      return false;
    },
    () => true,
  );
