import { expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { expectErrorAnswer } from "../support/expect.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { delay, eventually, Gate } from "../support/wait.js";

forEachEngine("a proxy in which nobody may wait", (engine) => {
  const origin = useRawOrigin();
  const config = () => ({
    config: {
      routes: [{ match: {}, pool: "main" }],
      pools: { main: { backends: [{ address: origin.address }], maxConnections: 1 } },
      limits: { queue: 0 },
    },
    warmUp: false as const,
  });
  const proxy = useProxy(engine, config, { linked: false });

  it("answers 503 at once while all backends are full, and lives on", async () => {
    const gate = new Gate();
    origin.answer(async () => {
      await gate.passed;
      return ok("served");
    });
    const first = await proxy.connect();
    await first.send(request());
    await eventually("the first request at the origin", () => origin.requests.length === 1);
    for (let i = 0; i < 3; i++) {
      const late = await proxy.connect();
      await late.send(request());
      await expectErrorAnswer(late, 503);
    }
    gate.open();
    expect((await readResponse(first)).body.toString()).toBe("served");
    expect((await proxy.exchange(request())).status).toBe(200);
  });
});

forEachEngine("maxConnections of a pool", (engine) => {
  const origin = useRawOrigin();
  const config = () => ({
    config: {
      routes: [{ match: {}, pool: "main" }],
      pools: { main: { backends: [{ address: origin.address }], maxConnections: 2 } },
      limits: { queue: 3 },
      timeouts: { queue: "3s" },
    },
    warmUp: false as const,
  });
  // Places are counted by exchange, so none of these requests is linked.
  const proxy = useProxy(engine, config, { linked: false });

  /** The origin holds every request until the gate opens. */
  function holdRequests(): { gate: Gate; most: () => number } {
    const gate = new Gate();
    let waiting = 0;
    let most = 0;
    origin.answer(async (message) => {
      most = Math.max(most, ++waiting);
      await gate.passed;
      waiting--;
      return ok(message.target);
    });
    return { gate, most: () => most };
  }

  const startRequests = async (count: number) => {
    const clients = [];
    for (let i = 0; i < count; i++) {
      const client = await proxy.connect();
      await client.send(request(`GET /${i} HTTP/1.1`));
      clients.push(client);
      // In the order of their numbers, also at the proxy.
      await delay(20);
    }
    return clients;
  };

  it("never has more requests at a backend than it may, and serves those that waited", async () => {
    const { gate, most } = holdRequests();
    const clients = await startRequests(5);
    await eventually("two requests at the origin", () => origin.requests.length === 2);
    gate.open();
    for (const [i, client] of clients.entries()) {
      expect((await readResponse(client)).body.toString()).toBe(`/${i}`);
    }
    expect(most()).toBe(2);
  });

  it("serves those that waited in the order in which they came", async () => {
    const gates: Gate[] = [];
    origin.answer(async (message) => {
      const gate = new Gate();
      gates.push(gate);
      await gate.passed;
      return ok(message.target);
    });
    await startRequests(5);
    for (let done = 0; done < 3; done++) {
      gates[done]!.open();
      await eventually("the next request at the origin", () => gates.length === done + 3);
    }
    expect(origin.requests.map(({ target }) => target)).toEqual(["/0", "/1", "/2", "/3", "/4"]);
  });

  it("answers 503 at once when the queue is full", async () => {
    const { gate } = holdRequests();
    const clients = await startRequests(5);
    const start = performance.now();
    const late = await proxy.connect();
    await late.send(request("GET /late HTTP/1.1"));
    await expectErrorAnswer(late, 503);
    // Long before those that wait.
    expect(performance.now() - start).toBeLessThan(2_500);
    gate.open();
    await Promise.all(clients.map((client) => readResponse(client)));
  });

  it("answers 503 to a request that waited too long", async () => {
    const { gate } = holdRequests();
    const clients = await startRequests(3);
    await expectErrorAnswer(clients[2]!, 503);
    gate.open();
    expect((await readResponse(clients[0]!)).status).toBe(200);
    expect(origin.requests.map(({ target }) => target)).toEqual(["/0", "/1"]);
  });

  it("does not send the request of a client that went away while it waited", async () => {
    const { gate } = holdRequests();
    const clients = await startRequests(4);
    clients[2]!.reset();
    await delay(50);
    gate.open();
    expect((await readResponse(clients[3]!)).body.toString()).toBe("/3");
    expect(origin.requests.map(({ target }) => target)).toEqual(["/0", "/1", "/3"]);
  });

  it("gives the place of a client that reset to the next", async () => {
    holdRequests();
    const clients = await startRequests(3);
    await eventually("two requests at the origin", () => origin.requests.length === 2);
    clients[0]!.reset();
    await eventually("the third request at the origin", () => origin.requests.length === 3);
  });

  it("keeps no place for clients that wait between requests", async () => {
    origin.answer(ok());
    for (let i = 0; i < 5; i++) {
      const client = await proxy.connect();
      for (let round = 0; round < 3; round++) {
        await client.send(request());
        expect((await readResponse(client)).status).toBe(200);
      }
    }
  });
});
