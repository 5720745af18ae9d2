import { Agent, request as undiciRequest } from "undici";
import { expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine, linksRequests } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { eventually } from "../support/wait.js";

forEachEngine("keep-alive", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  it("serves many requests on one client connection through one backend connection", async () => {
    origin.answer((message) => ok(message.target));
    const client = await proxy.connect();
    const event = engine === "packet-request" ? "handed" : "judged";
    const passed = async () => (await proxy.metrics()).sum("longsplice_packet_total", { event });
    const before = await passed();
    for (let i = 0; i < 50; i++) {
      await client.send(request(`GET /${i} HTTP/1.1`));
      expect((await readResponse(client)).body.toString()).toBe(`/${i}`);
    }
    expect(origin.connections).toHaveLength(1);
    expect((await passed()) - before).toBe(linksRequests(engine) ? 50 : 0);
  });

  it("hands a backend connection from one client to the next", async () => {
    origin.answer(ok());
    for (let i = 0; i < 5; i++) {
      const client = await proxy.connect();
      await client.send(request());
      await readResponse(client);
      // As long as a link stands, the backend's connection is its client's.
      client.finish();
      await client.readToEnd();
    }
    expect(origin.connections).toHaveLength(1);
  });

  it("keeps undici's connection open between requests", async () => {
    origin.answer(ok());
    const before = (await proxy.metrics()).sum("longsplice_connections_total");
    const dispatcher = new Agent({ connections: 1 });
    for (let i = 0; i < 10; i++) {
      const answer = await undiciRequest(proxy.url, { dispatcher });
      expect(await answer.body.text()).toBe("ok");
    }
    await dispatcher.close();
    expect((await proxy.metrics()).sum("longsplice_connections_total") - before).toBe(1);
  });

  it("closes after the response when the client asks for it", async () => {
    origin.answer(ok());
    const client = await proxy.connect();
    await client.send(request("GET / HTTP/1.1", { headers: ["connection: close"] }));
    const answer = await readResponse(client);
    expect(answer.fields.get("connection")).toBe("close");
    expect(await client.readToEnd()).toHaveLength(0);
  });

  it("keeps the backend's connection when only the client asked to close", async () => {
    origin.answer(ok());
    for (let i = 0; i < 3; i++) {
      await proxy.exchange(request("GET / HTTP/1.1", { headers: ["connection: close"] }));
    }
    expect(origin.connections).toHaveLength(1);
    expect(origin.requests[0]!.fields.get("connection") ?? "keep-alive").not.toMatch(/close/i);
  });

  it("keeps the client's connection when only the backend closes", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(ok("bye", "connection: close"));
      wire.finish();
    });
    const client = await proxy.connect();
    for (let i = 0; i < 3; i++) {
      await client.send(request());
      const answer = await readResponse(client);
      expect(answer.body.toString()).toBe("bye");
      expect(answer.fields.get("connection") ?? "keep-alive").not.toMatch(/close/i);
    }
    expect(origin.connections).toHaveLength(3);
  });

  it("does not reuse a connection on which the backend announced its close, even before it closes", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(ok("bye", "connection: close"));
    });
    await proxy.exchange(request());
    await proxy.exchange(request());
    expect(origin.connections).toHaveLength(2);
  });

  it("replaces an idle connection that the backend closed", async () => {
    origin.answer(ok());
    await proxy.exchange(request());
    const first = origin.connections[0]!;
    first.finish();
    await first.ended();
    expect((await proxy.exchange(request("POST / HTTP/1.1", { body: "x" }), "POST")).status).toBe(200);
    expect(origin.connections).toHaveLength(2);
  });

  it("opens as many backend connections as there are requests at the same time", async () => {
    origin.answer(async () => {
      await eventually("four requests at the origin", () => origin.requests.length >= 4);
      return ok();
    });
    const answers = await Promise.all([1, 2, 3, 4].map(() => proxy.exchange(request())));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(origin.connections).toHaveLength(4);
  });
});
