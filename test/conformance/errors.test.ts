import { expect, it } from "vitest";
import { chunked, ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { expectErrorAnswer } from "../support/expect.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import type { Wire } from "../support/wire.js";

/** Nobody listens there: port 1 of loopback. */
const NOBODY = "127.0.0.1:1";

forEachEngine("error answers", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({
    config: {
      routes: [
        { match: { path: "/refused" }, pool: "refused" },
        { match: { path: "/unhealthy" }, pool: "unhealthy" },
        { match: { path: "/served" }, pool: "served" },
      ],
      pools: {
        refused: { backends: [{ address: NOBODY }] },
        unhealthy: {
          backends: [{ address: NOBODY }],
          health: { path: "/", interval: "50ms", timeout: "50ms", rise: 1, fall: 1 },
        },
        served: { backends: [{ address: origin.address }] },
      },
    },
    warmUp: { target: "/served/warm-up" },
  }));

  const stillServes = async (client: Wire) => {
    await client.send(request("GET /served HTTP/1.1"));
    expect((await readResponse(client)).status).toBe(200);
  };

  it("answers 404 when no route matches, and goes on", async () => {
    origin.answer(ok());
    const client = await proxy.connect();
    await client.send(request("GET /nowhere HTTP/1.1"));
    await expectErrorAnswer(client, 404);
    await stillServes(client);
  });

  it("answers 502 when every backend refuses the connection, and goes on", async () => {
    origin.answer(ok());
    const client = await proxy.connect();
    await client.send(request("GET /refused HTTP/1.1"));
    await expectErrorAnswer(client, 502);
    await stillServes(client);
  });

  it("answers 503 when no backend is healthy, and goes on", async () => {
    await expect
      .poll(async () => (await proxy.metrics()).sum("longsplice_backend_healthy", { pool: "unhealthy" }))
      .toBe(0);
    origin.answer(ok());
    const client = await proxy.connect();
    await client.send(request("GET /unhealthy HTTP/1.1"));
    await expectErrorAnswer(client, 503);
    await stillServes(client);
  });

  it.each([
    ["FIN", (wire: Wire) => wire.finish()],
    ["RST", (wire: Wire) => wire.reset()],
  ])("answers 502 when the backend ends by %s before it answered a POST", async (_, end) => {
    origin.script(async (wire) => {
      await wire.readHead();
      end(wire);
    });
    const client = await proxy.connect();
    await client.send(request("POST /served HTTP/1.1", { body: "" }));
    await expectErrorAnswer(client, 502);
  });

  it("sends no body with the error answer to a HEAD, and goes on", async () => {
    origin.answer(ok());
    const client = await proxy.connect();
    await client.send(request("HEAD /nowhere HTTP/1.1"));
    await expectErrorAnswer(client, 404, "HEAD");
    await stillServes(client);
  });

  it("closes after an error answer when the client asked for it", async () => {
    const client = await proxy.connect();
    await client.send(request("GET /nowhere HTTP/1.1", { headers: ["connection: close"] }));
    expect((await expectErrorAnswer(client, 404)).fields.get("connection")).toBe("close");
    expect(await client.readToEnd()).toHaveLength(0);
  });

  it("keeps the order when a pipelined request in the middle gets an error", async () => {
    origin.answer((message) => ok(message.target));
    const client = await proxy.connect();
    const paths = ["/served/1", "/nowhere", "/served/2", "/refused", "/served/3"];
    await client.send(...paths.map((path) => request(`GET ${path} HTTP/1.1`)));
    const answers: string[] = [];
    for (const _ of paths) {
      const answer = await readResponse(client);
      answers.push(answer.status === 200 ? answer.body.toString() : String(answer.status));
    }
    expect(answers).toEqual(["/served/1", "404", "/served/2", "502", "/served/3"]);
  });

  const hidden = request("GET /served/hidden HTTP/1.1");
  it.each([
    ["with a length", request("POST /nowhere HTTP/1.1", { body: hidden })],
    [
      "in chunks",
      Buffer.concat([
        request("POST /nowhere HTTP/1.1", { headers: ["transfer-encoding: chunked"] }),
        chunked([hidden]),
      ]),
    ],
  ])("never takes a body %s, of a request that it refused, for a request", async (_, bytes) => {
    origin.answer(ok());
    const client = await proxy.connect();
    await client.send(bytes, request("GET /served/after HTTP/1.1", { headers: ["connection: close"] }));
    await expectErrorAnswer(client, 404);
    await client.readToEnd({ allowReset: true });
    expect(origin.received.includes("hidden")).toBe(false);
  });
});
