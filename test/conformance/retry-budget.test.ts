import { expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { expectErrorAnswer } from "../support/expect.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { delay, eventually, Gate } from "../support/wait.js";
import type { Wire } from "../support/wire.js";

forEachEngine("the budget of retries", (engine) => {
  const bad = useRawOrigin();
  const good = useRawOrigin();
  const config = () => ({
    config: {
      routes: [
        { match: { path: "/two" }, pool: "two" },
        { match: { path: "/half" }, pool: "half" },
        { match: { path: "/none" }, pool: "none" },
      ],
      pools: {
        two: { backends: backends(), retries: { percent: 0, min: 2 } },
        half: { backends: backends(), retries: { percent: 50, min: 0 } },
        none: { backends: backends(), retries: { percent: 0, min: 0 } },
      },
      timeouts: { queue: "3s" },
    },
    warmUp: false as const,
  });
  // The good one is asked only when the bad one was.
  const backends = () => [{ address: bad.address }, { address: good.address, weight: 0 }];
  const proxy = useProxy(engine, config, { linked: false });
  const counted = async (name: string, labels = {}) => (await proxy.metrics()).sum(name, labels);

  /** So many requests at once, all of which fail at the bad backend at once. */
  async function failing(count: number, path: string): Promise<Wire[]> {
    const gate = new Gate();
    let arrived = 0;
    bad.script(async (wire) => {
      await wire.readHead();
      if (++arrived === count) gate.open();
      await gate.passed;
      wire.reset();
    });
    const clients = [];
    for (let i = 0; i < count; i++) clients.push(await proxy.connectCold());
    for (const client of clients) await client.send(request(`GET ${path} HTTP/1.1`));
    return clients;
  }

  const budgets: [path: string, allowed: number][] = [
    ["/two", 2],
    ["/half", 3],
  ];

  it.each(budgets)(
    "of the pool of %s lets %d of six be tried again at a time; the others wait",
    async (path, allowed) => {
      const gate = new Gate();
      let now = 0;
      let most = 0;
      good.answer(async () => {
        most = Math.max(most, ++now);
        await gate.passed;
        now--;
        return ok("good");
      });
      const clients = await failing(6, path);
      await eventually("those that are allowed", () => now === allowed);
      await delay(100);
      expect(now).toBe(allowed);
      gate.open();
      for (const client of clients) expect((await readResponse(client)).body.toString()).toBe("good");
      expect(most).toBeLessThanOrEqual(allowed);
    },
  );

  it.each([...budgets, ["/none", 0]])(
    "of the pool of %s lets %d of six be tried again; others wait in vain",
    async (path, allowed) => {
      const gate = new Gate();
      good.answer(async () => {
        await gate.passed;
        return ok("good");
      });
      const refused = await counted("longsplice_retries_refused_total");
      const retried = await counted("longsplice_retries_total", { reason: "reset" });
      const clients = await failing(6, path);
      await eventually("answers for those that waited", async () => {
        return (await counted("longsplice_retries_refused_total")) === refused + 6 - allowed;
      });
      expect(await counted("longsplice_retries_total", { reason: "reset" })).toBe(retried + allowed);
      gate.open();
      const statuses = await Promise.all(clients.map(async (client) => (await readResponse(client)).status));
      expect(statuses.sort()).toEqual([...Array(allowed).fill(200), ...Array(6 - allowed).fill(502)]);
      expect(good.requests).toHaveLength(allowed);
    },
  );

  it("does not let a request wait for which no backend is left", async () => {
    const start = performance.now();
    good.script(async (wire) => {
      await wire.readHead();
      wire.reset();
    });
    const clients = await failing(6, "/two");
    for (const client of clients) await expectErrorAnswer(client, 502);
    expect(performance.now() - start).toBeLessThan(2_700);
  });

  it("is there again when the retries have ended", async () => {
    good.answer(ok("good"));
    for (let round = 0; round < 5; round++) {
      const [client] = await failing(1, "/two");
      expect((await readResponse(client!)).body.toString()).toBe("good");
    }
  });

  it("says nothing of backends that cannot be reached: they have done nothing", async () => {
    await bad.stop();
    good.answer(ok("good"));
    try {
      expect((await proxy.exchange(request("GET /none HTTP/1.1"))).body.toString()).toBe("good");
      await good.stop();
      const client = await proxy.connect();
      await client.send(request("GET /none HTTP/1.1"));
      await expectErrorAnswer(client, 502);
    } finally {
      await bad.start();
      await good.start().catch(() => undefined);
    }
  });
});
