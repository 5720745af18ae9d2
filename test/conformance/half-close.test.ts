import { expect, it } from "vitest";
import { ok, pattern, request, response } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { expectNothingReached } from "../support/expect.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { delay } from "../support/wait.js";
import { WireClosed } from "../support/wire.js";

const BODY = pattern(500_000);

forEachEngine("half-closed and broken connections", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  it("answers a client that sent FIN after its request, then closes", async () => {
    origin.answer(async () => {
      await delay(100);
      return ok(BODY);
    });
    const client = await proxy.connect();
    await client.send(request());
    client.finish();
    expect((await readResponse(client)).body.equals(BODY)).toBe(true);
    expect(await client.readToEnd()).toHaveLength(0);
  });

  it("answers a client that sent FIN after its request body", async () => {
    origin.answer((message) => ok(message.body));
    const client = await proxy.connect();
    await client.send(request("POST / HTTP/1.1", { body: BODY }));
    client.finish();
    expect((await readResponse(client)).body.equals(BODY)).toBe(true);
  });

  it("takes a response from a backend that sent FIN after it", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(ok(BODY));
      wire.finish();
    });
    expect((await proxy.exchange(request())).body.equals(BODY)).toBe(true);
  });

  it("closes without a word when the client sends FIN before any request", async () => {
    const client = await proxy.connect();
    client.finish();
    expect(await client.readToEnd()).toHaveLength(0);
    expect(origin.connections).toHaveLength(0);
  });

  it("sends nothing to the backend when the client sends FIN in the middle of a head", async () => {
    const client = await proxy.connect();
    await client.send("GET / HTTP/1.1\r\nhost: te");
    client.finish();
    await client.ended();
    await expectNothingReached(origin);
  });

  it.each([
    ["FIN", "with a length", "content-length: 100", "half of it"],
    ["RST", "with a length", "content-length: 100", "half of it"],
    ["FIN", "in chunks", "transfer-encoding: chunked", "a\r\nhalf of it\r\n"],
    ["RST", "in chunks", "transfer-encoding: chunked", "a\r\nhalf of it\r\n"],
  ])(
    "never makes a request look complete when the client ends by %s in its body %s",
    async (how, _, header, part) => {
      let outcome: unknown;
      origin.script(async (wire) => {
        await wire.readHead();
        await wire.readExactly(part.length);
        outcome = await wire.readExactly(1).catch((error: unknown) => error);
      });
      const client = await proxy.connect();
      await client.send(request("POST / HTTP/1.1", { headers: [header] }), part);
      const server = await origin.connection();
      await expect.poll(() => server.receivedLength).toBeGreaterThan(part.length);
      if (how === "FIN") client.finish();
      else client.reset();
      await expect.poll(() => outcome).toBeInstanceOf(WireClosed);
    },
  );

  it("closes the backend's connection when the client resets while it waits", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
    });
    const client = await proxy.connect();
    await client.send(request());
    const server = await origin.connection();
    await expect.poll(() => server.receivedLength).toBeGreaterThan(0);
    client.reset();
    await server.ended();
  });

  it("closes the backend's connection when the client resets in the middle of the response", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response("200 OK", { headers: ["content-length: 1000000000"] }), BODY);
    });
    const client = await proxy.connect();
    await client.send(request());
    await client.readHead();
    client.reset();
    await (await origin.connection()).ended();
  });

  it("serves the next client after one that reset", async () => {
    origin.answer(ok("fine"));
    for (let i = 0; i < 20; i++) {
      const client = await proxy.connect();
      await client.send(request());
      client.reset();
    }
    expect((await proxy.exchange(request())).body.toString()).toBe("fine");
  });
});
