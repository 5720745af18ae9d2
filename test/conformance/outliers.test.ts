import { expect, it, onTestFinished } from "vitest";
import { ok, request, response } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { type RunningProxy, startProxy } from "../support/proxy.js";
import { eventually } from "../support/wait.js";
import type { Wire } from "../support/wire.js";

forEachEngine("outliers of a pool", (engine) => {
  const well = useRawOrigin();
  const ill = useRawOrigin();

  const start = async (outliers: Record<string, unknown>): Promise<RunningProxy> => {
    const proxy = await startProxy({
      engine,
      config: {
        routes: [{ match: {}, pool: "main" }],
        pools: {
          main: {
            policy: "round-robin",
            backends: [{ address: well.address }, { address: ill.address }],
            outliers: { consecutiveFailures: 3, ...outliers },
          },
        },
      },
    });
    // Before the origins reset, or what they break counts.
    onTestFinished(() => proxy.kill());
    return proxy;
  };

  const isIn = async (proxy: RunningProxy, backend: string) =>
    (await proxy.metrics()).sum("longsplice_backend_healthy", { pool: "main", backend }) === 1;

  const status = async (wire: Wire): Promise<number> => {
    await wire.send(request());
    return (await readResponse(wire)).status;
  };

  it("are ejected while they answer 500, on whatever connections, and come back later", async () => {
    well.answer(ok());
    let cured = false;
    ill.answer(() => (cured ? ok("well again") : response("500 Ill", { body: "" })));
    const proxy = await start({ ejection: "6s" });
    const clients: Wire[] = [];
    for (let i = 0; i < 6; i++) {
      // Where connections stay with their backend some are with each: it is that of their second request.
      if (i % 2 === 1) await proxy.exchange(request(), "GET", proxy.connectCold);
      clients.push(await proxy.connect());
    }
    await eventually("the ejection", async () => {
      for (const client of clients) await status(client);
      return !(await isIn(proxy, ill.address));
    });
    // A worker looks a few times a second whether links have to return.
    await eventually("links that returned", async () => {
      const statuses = [];
      for (const client of clients) statuses.push(await status(client), await status(client));
      return statuses.every((each) => each === 200);
    });
    const event = await proxy.logged("backend health changed");
    expect(event).toMatchObject({ pool: "main", address: ill.address, to: "unhealthy" });
    expect(event.reason).toMatch(/^ejected: \d+ failures in a row$/);
    const labels = { pool: "main", backend: ill.address, reason: "failures" };
    expect((await proxy.metrics()).sum("longsplice_backend_ejections_total", labels)).toBe(1);

    cured = true;
    await eventually("the end of the ejection", () => isIn(proxy, ill.address));
    const bodies = new Set<string>();
    await eventually("a request to it", async () => {
      bodies.add((await proxy.exchange(request(), "GET", proxy.connectCold)).body.toString());
      return bodies.has("well again");
    });
  });

  it("are those that cannot be reached, and not those that answer 500 where it does not count", async () => {
    well.answer(response("500 Of its own accord", { body: "" }));
    ill.answer(ok());
    const proxy = await start({ failuresFrom: 502 });
    for (let i = 0; i < 12; i++) await proxy.exchange(request(), "GET", proxy.connectCold);
    await ill.stop();
    onTestFinished(async () => void (await ill.start()));
    await eventually("the ejection", async () => {
      await proxy.exchange(request(), "GET", proxy.connectCold);
      return !(await isIn(proxy, ill.address));
    });
    expect(await isIn(proxy, well.address)).toBe(true);
  });
});
