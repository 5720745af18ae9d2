/** How backends leave and come back: kinds of checks, panic, slow start, and what a reload keeps of it. About no engine. */
import { describe, expect, it, onTestFinished } from "vitest";
import { request } from "../support/build.js";
import { NodeOrigin } from "../support/node-origin.js";
import { type RunningProxy, startProxy } from "../support/proxy.js";
import { eventually } from "../support/wait.js";

const CHECK = { interval: "50ms", timeout: "2s", rise: 1, fall: 2 };

interface Status {
  pools: { backends: { address: string; health: string; reason: string; weightPercent: number }[] }[];
}

/** An origin that says of each path what `answer` says of it: a status and a body. */
async function originOf(answer: (path: string) => [status: number, body: string]): Promise<NodeOrigin> {
  const origin = await new NodeOrigin(({ url }, response) => {
    const [status, body] = answer(url);
    response.writeHead(status).end(body);
  }).start();
  onTestFinished(() => origin.stop());
  return origin;
}

const configOf = (origins: readonly NodeOrigin[], pool: Record<string, unknown>, more = {}) => ({
  routes: [{ match: {}, pool: "main" }],
  pools: { main: { backends: origins.map(({ address }) => ({ address })), ...pool } },
  ...more,
});

const backendsOf = async (proxy: RunningProxy) =>
  ((await proxy.status()) as unknown as Status).pools[0]!.backends;
const healthOf = async (proxy: RunningProxy) => (await backendsOf(proxy)).map(({ health }) => health).join();
const ask = (proxy: RunningProxy) => proxy.exchange(request(), "GET", proxy.connectCold);

describe("checks", () => {
  it("over HTTP look for a status and a text", async () => {
    const page: (status: number, body: string) => (path: string) => [number, string] =
      (status, body) => (path) =>
        path === "/state" ? [status, body] : [200, body];
    const origins = await Promise.all([
      originOf(page(200, "all well")),
      originOf(page(200, "database gone")),
      originOf(page(204, "")),
    ]);
    const health = { ...CHECK, path: "/state", status: 200, body: "well" };
    const proxy = await startProxy({ config: configOf(origins, { health }) });
    await eventually("the verdicts", async () => {
      return (await healthOf(proxy)) === "healthy,unhealthy,unhealthy";
    });
    expect((await backendsOf(proxy)).map(({ reason }) => reason)).toEqual([
      "status 200",
      'status 200 without "well"',
      "status 204",
    ]);
    for (let i = 0; i < 4; i++) expect((await ask(proxy)).body.toString()).toBe("all well");
  });

  it("over TCP look whether somebody accepts, and without anybody the answer is 503, whatever the threshold", async () => {
    const origins = [await originOf(() => [500, "no page is well"])];
    const outliers = { panicThreshold: 100 };
    const proxy = await startProxy({
      config: configOf(origins, { health: { ...CHECK, type: "tcp" }, outliers }),
    });
    await eventually("a verdict", async () => (await healthOf(proxy)) === "healthy");
    expect((await ask(proxy)).status).toBe(500);
    await origins[0]!.stop();
    await eventually("the other verdict", async () => (await healthOf(proxy)) === "unhealthy");
    expect((await ask(proxy)).status).toBe(503);
  });
});

describe("a pool in which all backends serve badly", () => {
  it("goes on using half of them", async () => {
    const origins = await Promise.all([1, 2, 3, 4].map(() => originOf(() => [500, "bad"])));
    const config = configOf(origins, { outliers: { consecutiveFailures: 2 } });
    const proxy = await startProxy({ config });
    await eventually("the ejections", async () => {
      await ask(proxy);
      return (await healthOf(proxy)).match(/unhealthy/g)?.length === 2;
    });
    for (let i = 0; i < 20; i++) expect((await ask(proxy)).status).toBe(500);
    expect((await healthOf(proxy)).match(/unhealthy/g)?.length).toBe(2);
  });
});

describe("one of five backends", () => {
  const RULES = { consecutiveFailures: 0, interval: "1s", minRequests: 10 };

  /** Asks until somebody is ejected; the reason. */
  const ejection = async (origins: readonly NodeOrigin[], outliers: Record<string, unknown>) => {
    const proxy = await startProxy({ config: configOf(origins, { outliers: { ...RULES, ...outliers } }) });
    await eventually(
      "an ejection",
      async () => {
        await Promise.all(Array.from({ length: 10 }, () => ask(proxy)));
        return (await healthOf(proxy)).includes("unhealthy");
      },
      15_000,
    );
    expect(await healthOf(proxy)).toBe("unhealthy,unknown,unknown,unknown,unknown");
    return (await backendsOf(proxy))[0]!.reason;
  };

  it("is ejected if it fails more often than the others", async () => {
    let asked = 0;
    const bad = await originOf(() => (asked++ % 2 === 0 ? [500, "bad"] : [200, "good"]));
    const good = await Promise.all([1, 2, 3, 4].map(() => originOf(() => [200, "good"])));
    expect(await ejection([bad, ...good], {})).toMatch(/^ejected: success rate [45]\d\.\d %$/);
  });

  it("is ejected if it is slower than the others, where that counts", async () => {
    const slow = await new NodeOrigin((_seen, response) => {
      setTimeout(() => response.end("slow"), 200);
    }).start();
    onTestFinished(() => slow.stop());
    const quick = await Promise.all([1, 2, 3, 4].map(() => originOf(() => [200, "quick"])));
    expect(await ejection([slow, ...quick], { latencyFactor: 1.9 })).toMatch(/^ejected: latency \d+\.\d ms$/);
  });
});

describe("an ejection", () => {
  it("outlasts a reload, and not the end of the watch", async () => {
    const bad = await originOf(() => [503, "bad"]);
    const good = await originOf(() => [200, "good"]);
    const outliers = { consecutiveFailures: 2, ejection: "1h", maxEjection: "2h" };
    const proxy = await startProxy({ config: configOf([bad, good], { outliers }) });
    await eventually("the ejection", async () => {
      await ask(proxy);
      return (await healthOf(proxy)) === "unhealthy,unknown";
    });
    proxy.reload(configOf([bad, good], { outliers }, { accessLog: "json" }));
    await proxy.logged("configuration reloaded");
    for (let i = 0; i < 6; i++) expect((await ask(proxy)).status).toBe(200);
    const seen = proxy.logs.length;
    proxy.reload(configOf([bad, good], {}));
    await proxy.logged("configuration reloaded", undefined, seen);
    expect(await healthOf(proxy)).toBe("unknown,unknown");
  });
});

describe("a slow start", () => {
  it("gives a backend that comes back a share that grows", async () => {
    let well = false;
    const origins = [
      await originOf(() => [200, "old"]),
      await originOf((path) => [path !== "/state" || well ? 200 : 500, "new"]),
    ];
    const health = { ...CHECK, path: "/state" };
    const proxy = await startProxy({ config: configOf(origins, { health, slowStart: "5s" }) });
    await eventually("the verdicts", async () => (await healthOf(proxy)) === "healthy,unhealthy");
    const percent = async () => (await backendsOf(proxy))[1]!.weightPercent;
    const shareOf = async (count: number) => {
      let served = 0;
      for (let i = 0; i < count; i++) served += Number((await ask(proxy)).body.toString() === "new");
      return served / count;
    };
    const start = performance.now();
    well = true;
    await eventually("its return", async () => (await healthOf(proxy)) === "healthy,healthy");
    const before = await percent();
    const seconds = (performance.now() - start) / 1000;
    const early = await shareOf(44);
    const after = await percent();
    // It began with a tenth; a busy machine may be late with the look.
    expect(before).toBeLessThanOrEqual(Math.max(30, 10 + (100 * seconds) / 5));
    // One request of 44 more or less.
    expect(early).toBeGreaterThanOrEqual(before / (100 + before) - 1 / 40);
    expect(early).toBeLessThanOrEqual(after / (100 + after) + 1 / 40);
    await eventually("its whole weight", async () => (await percent()) === 100, 20_000);
    expect(await shareOf(40)).toBeCloseTo(0.5, 1);
  });
});
