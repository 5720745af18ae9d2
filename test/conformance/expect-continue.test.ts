import { expect, it } from "vitest";
import { ok, pattern, request, response } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readRequestHead, readResponse, readResponseHead } from "../support/message.js";
import { delay } from "../support/wait.js";

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const BODY = pattern(100_000);
const EXPECTING = request("POST / HTTP/1.1", {
  headers: ["expect: 100-continue", `content-length: ${BODY.length}`],
});

forEachEngine("100-continue and other interim responses", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  it("lets the backend decide when the body may come", async () => {
    origin.script(async (wire) => {
      const { fields } = await readRequestHead(wire);
      expect(fields.get("expect")?.toLowerCase()).toBe("100-continue");
      await wire.send(CONTINUE);
      const body = await wire.readExactly(BODY.length);
      await wire.send(ok(body.equals(BODY) ? "complete" : "damaged"));
    });
    const client = await proxy.connect();
    await client.send(EXPECTING);
    expect((await readResponseHead(client)).status).toBe(100);
    await client.send(BODY);
    expect((await readResponse(client)).body.toString()).toBe("complete");
  });

  it("does not say 100 on the backend's behalf", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
    });
    const client = await proxy.connect();
    await client.send(EXPECTING);
    await origin.connection();
    await delay(200);
    expect(client.receivedLength).toBe(0);
  });

  it("passes a refusal on, and does not take what comes next on that connection for a request", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response("417 Expectation Failed", { body: "no" }));
    });
    const client = await proxy.connect();
    await client.send(EXPECTING);
    const answer = await readResponse(client);
    expect([answer.status, answer.body.toString()]).toEqual([417, "no"]);
    expect(answer.fields.get("connection")).toBe("close");
    await client.send("GET /smuggled HTTP/1.1\r\nhost: test.example\r\n\r\n");
    expect(await client.readToEnd({ allowReset: true })).toHaveLength(0);
    expect(origin.received.includes("smuggled")).toBe(false);
  });

  it("serves a client that does not wait for the 100", async () => {
    origin.answer((message) => ok(message.body));
    const client = await proxy.connect();
    await client.send(EXPECTING, BODY);
    expect((await readResponse(client)).body.equals(BODY)).toBe(true);
  });

  it("forwards all interim responses with their headers, in order", async () => {
    const hints = (name: string) => `HTTP/1.1 103 Early Hints\r\nlink: </${name}>; rel=preload\r\n\r\n`;
    origin.answer(Buffer.from(`HTTP/1.1 102 Processing\r\n\r\n${hints("a")}${hints("b")}${ok("end")}`));
    const answer = await proxy.exchange(request());
    expect(answer.interim.map(({ status }) => status)).toEqual([102, 103, 103]);
    expect(answer.interim[2]!.fields.get("link")).toBe("</b>; rel=preload");
    expect(answer.body.toString()).toBe("end");
  });

  it("forwards an interim response at once", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    });
    const client = await proxy.connect();
    await client.send(request());
    expect((await readResponseHead(client)).status).toBe(103);
  });

  it("keeps interim responses from an HTTP/1.0 client", async () => {
    origin.answer(Buffer.from(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${ok("end")}`));
    const answer = await proxy.exchange(request("GET / HTTP/1.0"));
    expect(answer.interim).toHaveLength(0);
    expect(answer.body.toString()).toBe("end");
  });

  it("keeps both connections usable after interim responses", async () => {
    origin.answer(Buffer.from(`${CONTINUE}${ok("end")}`));
    const client = await proxy.connect();
    for (let round = 0; round < 3; round++) {
      await client.send(request());
      expect((await readResponse(client)).body.toString()).toBe("end");
    }
    expect(origin.connections).toHaveLength(1);
  });

  it("returns a final response that comes before the request body ended, and then closes", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response("413 Content Too Large", { body: "enough" }));
    });
    const client = await proxy.connect();
    await client.send(request("POST / HTTP/1.1", { headers: ["content-length: 5000000"] }), BODY);
    const answer = await readResponse(client);
    expect([answer.status, answer.body.toString()]).toEqual([413, "enough"]);
    expect(answer.fields.get("connection")).toBe("close");
  });

  it("delivers an early response to a client that goes on sending before it reads", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response("413 Content Too Large", { headers: ["connection: close"], body: "enough" }));
      wire.finish();
    });
    const client = await proxy.connect();
    client.pause();
    await client.send(request("POST / HTTP/1.1", { headers: ["content-length: 400000"] }), pattern(400_000));
    await delay(100);
    client.resume();
    expect((await readResponse(client)).status).toBe(413);
  });
});
