/** Requests wait for a place while the configuration, or what a source says of its backends, changes. */
import { writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { poolOf } from "../support/discovered.js";
import { forEachEngine } from "../support/engines.js";
import { expectErrorAnswer } from "../support/expect.js";
import { startRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { type RunningProxy, startProxy } from "../support/proxy.js";
import type { RawOrigin } from "../support/raw-origin.js";
import { eventually, Gate } from "../support/wait.js";
import type { Wire } from "../support/wire.js";
import { fileWith } from "../unit/config-support.js";

/** Far beyond what a test waits for. */
const PATIENT = { queue: "60s" };

/** Answers each request with a name, one after the other as the returned function is called. */
function holdRequests(origin: RawOrigin, name: string): () => void {
  const gates: Gate[] = [];
  origin.answer(async () => {
    const gate = new Gate();
    gates.push(gate);
    await gate.passed;
    return ok(name);
  });
  return () => gates.shift()!.open();
}

const targetsAt = (origin: RawOrigin) => origin.requests.map(({ target }) => target);

const membersOf = (...origins: RawOrigin[]) => JSON.stringify(origins.map(({ address }) => ({ address })));

/** Resolves when the proxy has read what was sent to it: it looks at connections in the order in which something came. */
async function caughtUp(proxy: RunningProxy): Promise<void> {
  const client = await proxy.connectCold();
  await client.send("GET /without-host HTTP/1.1\r\n\r\n");
  await expectErrorAnswer(client, 400);
}

/** Sends these, each on a connection of its own, and one after the other. */
async function send(proxy: RunningProxy, ...targets: string[]): Promise<Wire[]> {
  const clients = [];
  for (const target of targets) {
    const client = await proxy.connect();
    await client.send(request(`GET ${target} HTTP/1.1`));
    clients.push(client);
    await caughtUp(proxy);
  }
  return clients;
}

async function reload(proxy: RunningProxy, config: Record<string, unknown>): Promise<void> {
  const before = proxy.logs.length;
  proxy.reload(config);
  await proxy.logged("configuration reloaded", undefined, before);
}

forEachEngine("requests that wait for a place", (engine) => {
  /** Places are counted by exchange, so none of these requests is linked. */
  const start = (config: Record<string, unknown>) => startProxy({ engine, config, warmUp: false });

  it.each([
    ["replaces the busy one", false],
    ["joins the busy one", true],
  ])("are served at once by a backend that %s", async (_, stays) => {
    const [old, fresh] = [await startRawOrigin(), await startRawOrigin()];
    const release = holdRequests(old, "old");
    fresh.answer(ok("fresh"));
    const file = fileWith(membersOf(old), "backends.yaml");
    const { routes, pools } = poolOf({ file });
    const main = { ...pools.main, maxConnections: 1 };
    const proxy = await start({ routes, pools: { main }, timeouts: PATIENT });
    const [first, ...waiting] = await send(proxy, "/0", "/1", "/2", "/3");
    await old.request();
    writeFileSync(file, stays ? membersOf(old, fresh) : membersOf(fresh));
    for (const client of waiting) expect((await readResponse(client)).body.toString()).toBe("fresh");
    expect([targetsAt(old), targetsAt(fresh)]).toEqual([["/0"], ["/1", "/2", "/3"]]);
    release();
    expect((await readResponse(first!)).body.toString()).toBe("old");
    await proxy.stop();
  });

  const poolsOf = (...origins: RawOrigin[]) => ({
    routes: [{ match: {}, pool: "main" }],
    pools: { main: { backends: origins.map(({ address }) => ({ address })), maxConnections: 1 } },
  });

  it("get 503 when a reload takes their pool away", async () => {
    const [old, fresh] = [await startRawOrigin(), await startRawOrigin()];
    const release = holdRequests(old, "old");
    fresh.answer(ok("fresh"));
    const proxy = await start({ ...poolsOf(old), timeouts: PATIENT });
    const [first, ...waiting] = await send(proxy, "/0", "/1", "/2");
    await old.request();
    const other = { routes: [{ match: {}, pool: "other" }], pools: { other: poolsOf(fresh).pools.main } };
    await reload(proxy, { ...other, timeouts: PATIENT });
    for (const client of waiting) {
      const answer = await expectErrorAnswer(client, 503);
      expect(answer.body.toString()).toContain("pool is gone");
      await client.send(request());
      expect((await readResponse(client)).body.toString()).toBe("fresh");
    }
    release();
    expect((await readResponse(first!)).body.toString()).toBe("old");
    expect(targetsAt(old)).toEqual(["/0"]);
    await proxy.stop();
  });

  it("stand in one queue with those that came after a reload", async () => {
    const origin = await startRawOrigin();
    const release = holdRequests(origin, "served");
    const config = { ...poolsOf(origin), limits: { queue: 3 }, timeouts: PATIENT };
    const proxy = await start(config);
    const clients = await send(proxy, "/0", "/1", "/2");
    await origin.request();
    await reload(proxy, config);
    clients.push(...(await send(proxy, "/3")));
    const [late] = await send(proxy, "/late");
    await expectErrorAnswer(late!, 503);
    for (const [index, client] of clients.entries()) {
      await origin.request(index);
      release();
      expect((await readResponse(client)).status).toBe(200);
    }
    expect(targetsAt(origin)).toEqual(["/0", "/1", "/2", "/3"]);
    await proxy.stop();
  });

  it("wait no longer for a reload in between", async () => {
    const origin = await startRawOrigin();
    const release = holdRequests(origin, "served");
    const proxy = await start({ ...poolsOf(origin), timeouts: { queue: "3s" } });
    const [first, second] = await send(proxy, "/0", "/1");
    await origin.request();
    await reload(proxy, { ...poolsOf(origin), timeouts: PATIENT });
    await expectErrorAnswer(second!, 503);
    release();
    expect((await readResponse(first!)).status).toBe(200);
    expect(targetsAt(origin)).toEqual(["/0"]);
    await proxy.stop();
  });

  /** Sends a request to a backend that fails and then to one that has no place left. */
  async function waitForAnotherTime() {
    const [bad, busy, fresh] = [await startRawOrigin(), await startRawOrigin(), await startRawOrigin()];
    let failures = 0;
    bad.script(async (wire) => {
      await wire.readHead();
      failures++;
      wire.reset();
    });
    const release = holdRequests(busy, "busy");
    fresh.answer(ok("fresh"));
    const proxy = await start({ ...poolsOf(bad, busy), timeouts: PATIENT });
    const [first] = await send(proxy, "/0");
    await busy.request();
    const before = failures;
    const [second] = await send(proxy, "/1");
    await eventually("its failure", () => failures > before);
    const change = (...origins: RawOrigin[]) => reload(proxy, { ...poolsOf(...origins), timeouts: PATIENT });
    const end = async () => {
      expect((await readResponse(second!)).body.toString()).toBe("fresh");
      expect([failures, targetsAt(busy)]).toEqual([before + 1, ["/0"]]);
      release();
      expect((await readResponse(first!)).body.toString()).toBe("busy");
      await proxy.stop();
    };
    return { proxy, first: first!, second: second!, bad, busy, fresh, release, change, end };
  }

  it("for another time let others go first to the backend that failed", async () => {
    const { proxy, first, second, bad, busy, release } = await waitForAnotherTime();
    const releaseBad = holdRequests(bad, "well again");
    const [third, fourth] = await send(proxy, "/2", "/3");
    for (const [index, client] of [third!, fourth!].entries()) {
      await eventually("its turn", () => bad.requests.length > index);
      releaseBad();
      expect((await readResponse(client)).body.toString()).toBe("well again");
    }
    expect(targetsAt(bad).slice(-2)).toEqual(["/2", "/3"]);
    release();
    await busy.request(1);
    release();
    for (const client of [first, second]) expect((await readResponse(client)).body.toString()).toBe("busy");
    await proxy.stop();
  });

  it("for another time get 502 when there is no other backend any more", async () => {
    const { proxy, first, second, bad, release, change } = await waitForAnotherTime();
    await change(bad);
    await expectErrorAnswer(second, 502);
    release();
    expect((await readResponse(first)).body.toString()).toBe("busy");
    await proxy.stop();
  });

  it("for another time are not sent to the backend that failed, but to one that joins", async () => {
    const { bad, fresh, change, end } = await waitForAnotherTime();
    await change(bad, fresh);
    await end();
  });

  it("for another time are sent to one that joins when the one that failed has long been gone", async () => {
    const { busy, fresh, change, end } = await waitForAnotherTime();
    await change(busy);
    await change(busy);
    // It gets the row of the load table that was the failed one's.
    await change(busy, fresh);
    await end();
  });
});
