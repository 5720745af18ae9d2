import { expect, it } from "vitest";
import { ok, request, response } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { expectCutShort, expectErrorAnswer } from "../support/expect.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { startProxy } from "../support/proxy.js";
import { eventually, Gate } from "../support/wait.js";
import type { Wire } from "../support/wire.js";

const NOBODY = "127.0.0.1:1";
const POST = request("POST / HTTP/1.1", { body: "pay once" });

const deaths: [string, (wire: Wire) => unknown][] = [
  ["ends by FIN", (wire) => wire.finish()],
  ["ends by RST", (wire) => wire.reset()],
  ["sends garbage", (wire) => wire.send("garbage\r\n\r\n")],
  ["ends in the middle of the head", (wire) => wire.send("HTTP/1.1 200 OK\r\nx").then(() => wire.finish())],
];

forEachEngine("retries after a refused connection", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [NOBODY, origin.address] }));

  it.each(["GET", "POST", "DELETE"])("takes the next backend for a %s", async (method) => {
    origin.answer((message) => ok(message.body));
    for (let round = 0; round < 4; round++) {
      const answer = await proxy.exchange(request(`${method} / HTTP/1.1`, { body: "the body" }));
      expect(answer.body.toString()).toBe("the body");
    }
    expect(origin.requests).toHaveLength(4);
  });
});

forEachEngine("retries after a backend died on a fresh connection", (engine) => {
  const bad = useRawOrigin();
  const good = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [bad.address, good.address] }));

  it.each(deaths)("takes the next backend for a GET when the first %s", async (_, die) => {
    bad.script(async (wire) => {
      await wire.readHead();
      await die(wire);
    });
    good.answer(ok("good"));
    for (let round = 0; round < 4; round++) {
      for (const connect of [proxy.connect, proxy.connectCold]) {
        expect((await proxy.exchange(request(), "GET", connect)).body.toString()).toBe("good");
      }
    }
    expect(bad.connections.length).toBeGreaterThan(0);
  });

  it.each(deaths)("answers 502 to a POST when the backend %s, and sends it nowhere else", async (_, die) => {
    let seen = 0;
    const dieAfterRequest = async (wire: Wire) => {
      await wire.readHead();
      seen++;
      await die(wire);
    };
    bad.script(dieAfterRequest);
    good.script(dieAfterRequest);
    const client = await proxy.connect();
    await client.send(POST);
    await expectErrorAnswer(client, 502);
    expect(seen).toBe(1);
  });

  it("does not try again once a part of the response reached the client", async () => {
    let seen = 0;
    const break_ = async (wire: Wire) => {
      await wire.readHead();
      seen++;
      await wire.send(response("200 OK", { headers: ["content-length: 10"] }), "half");
      wire.finish();
    };
    bad.script(break_);
    good.script(break_);
    const client = await proxy.connect();
    await client.send(request());
    await expectCutShort(client);
    expect(seen).toBe(1);
  });
});

forEachEngine("retries after a reused connection died", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  /** The first connection answers one request and dies at the second; every later connection works. */
  const dieAtSecondRequest = (end: (wire: Wire) => void) =>
    origin.script(async (wire, index) => {
      if (index > 0) return origin.serve(wire, (message) => ok(`${message.method} on a fresh connection`));
      await wire.readHead();
      await wire.send(ok("first"));
      await wire.readHead();
      end(wire);
    });

  const ends: [string, (wire: Wire) => void][] = [
    ["FIN", (wire) => wire.finish()],
    ["RST", (wire) => wire.reset()],
  ];

  it.each(ends)("sends an idempotent request again after %s", async (_, end) => {
    dieAtSecondRequest(end);
    const client = await proxy.connect();
    await client.send(request());
    expect((await readResponse(client)).body.toString()).toBe("first");
    await client.send(request());
    expect((await readResponse(client)).body.toString()).toBe("GET on a fresh connection");
    expect(origin.connections).toHaveLength(2);
  });

  it.each(ends)("does not send a POST again after %s, because it may have been processed", async (_, end) => {
    dieAtSecondRequest(end);
    const client = await proxy.connect();
    await client.send(request());
    await readResponse(client);
    await client.send(POST);
    await expectErrorAnswer(client, 502);
    expect(origin.requests).toHaveLength(0);
  });
});

forEachEngine("a retry when the configuration was loaded several times since the request began", (engine) => {
  const bad = useRawOrigin();
  const good = useRawOrigin();

  it("still has policies to ask", async () => {
    const backends = [{ address: bad.address }, { address: good.address, weight: 0 }];
    const config = { routes: [{ match: {}, pool: "main" }], pools: { main: { backends } } };
    const proxy = await startProxy({ engine, config, warmUp: false });
    const gate = new Gate();
    bad.script(async (wire) => {
      await wire.readHead();
      await gate.passed;
      wire.reset();
    });
    good.answer(ok("good"));
    const client = await proxy.connectCold();
    await client.send(request());
    await eventually("the request at the first backend", () => bad.connections.length === 1);
    for (let load = 0; load < 4; load++) {
      const after = proxy.logs.length;
      proxy.reload(config);
      await proxy.logged("configuration reloaded", undefined, after);
    }
    gate.open();
    expect((await readResponse(client)).body.toString()).toBe("good");
    await proxy.stop();
  });
});
