import { expect, it } from "vitest";
import { chunked, ok, pattern, request, response } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { eventually } from "../support/wait.js";

const BINARY = pattern(100_000);

forEachEngine("HTTP/1.0", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  it("closes after the response to a 1.0 client", async () => {
    origin.answer(ok("hello"));
    const client = await proxy.connect();
    await client.send(request("GET / HTTP/1.0"));
    const answer = await readResponse(client);
    expect(answer.body.toString()).toBe("hello");
    expect(await client.readToEnd()).toHaveLength(0);
  });

  it("speaks HTTP/1.1 to the backend on behalf of a 1.0 client", async () => {
    origin.answer(ok());
    await proxy.exchange(request("GET /old HTTP/1.0"));
    expect(origin.requests[0]!.version).toBe("HTTP/1.1");
    expect(origin.requests[0]!.target).toBe("/old");
  });

  it("gives the backend a host when the 1.0 client sent none", async () => {
    origin.answer(ok());
    expect((await proxy.exchange("GET / HTTP/1.0\r\n\r\n")).status).toBe(200);
    expect(origin.requests[0]!.fields.has("host")).toBe(true);
  });

  it("unwraps chunks for a 1.0 client", async () => {
    const head = response("200 OK", { headers: ["transfer-encoding: chunked"] });
    origin.answer(Buffer.concat([head, chunked([BINARY, "end"], ["x-trailer: 1"])]));
    const answer = await proxy.exchange(request("GET / HTTP/1.0"));
    expect(answer.framing).toBe("close");
    expect(answer.body.equals(Buffer.concat([BINARY, Buffer.from("end")]))).toBe(true);
  });

  it("resets when a chunked response breaks off, because a FIN would make it look complete", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response("200 OK", { headers: ["transfer-encoding: chunked"] }), "5\r\nhello\r\n");
      // libuv reports a RST that arrives together with data as the end of the stream.
      await eventually("the first bytes at the client", () => client.received.includes("hello"));
      wire.finish();
    });
    const client = await proxy.connect();
    await client.send(request("GET / HTTP/1.0"));
    expect(await client.ended()).toBe("reset");
  });

  it("passes a response that ends with its connection on as one", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response(), BINARY);
      wire.finish();
    });
    const answer = await proxy.exchange(request("GET / HTTP/1.0"));
    expect(answer.framing).toBe("close");
    expect(answer.body.equals(BINARY)).toBe(true);
  });

  it("takes a body with a length from a 1.0 client", async () => {
    origin.answer((message) => ok(message.body));
    const answer = await proxy.exchange(request("POST / HTTP/1.0", { body: BINARY }));
    expect(answer.body.equals(BINARY)).toBe(true);
  });

  it("says HTTP/1.1 to a 1.1 client when the backend answers with HTTP/1.0", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nold");
      wire.finish();
    });
    const client = await proxy.connect();
    for (let round = 0; round < 2; round++) {
      await client.send(request());
      const answer = await readResponse(client);
      expect([answer.version, answer.body.toString()]).toEqual(["HTTP/1.1", "old"]);
    }
  });

  it("does not reuse the connection of an HTTP/1.0 backend that did not offer it", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nold");
    });
    await proxy.exchange(request());
    await proxy.exchange(request());
    expect(origin.connections).toHaveLength(2);
  });
});
