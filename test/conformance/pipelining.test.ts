import { expect, it } from "vitest";
import { chunked, ok, pattern, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { delay } from "../support/wait.js";

const numbered = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, i) => request(`GET /${i} HTTP/1.1`));

forEachEngine("pipelining", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  it("answers 100 requests that came in one write, in their order", async () => {
    origin.answer((message) => ok(message.target));
    const client = await proxy.connect();
    await client.send(...numbered(100));
    for (let i = 0; i < 100; i++) expect((await readResponse(client)).body.toString()).toBe(`/${i}`);
  });

  it("answers in order when the first response takes longest", async () => {
    origin.answer(async (message) => {
      if (message.target === "/0") await delay(200);
      return ok(message.target);
    });
    const client = await proxy.connect();
    await client.send(...numbered(5));
    for (let i = 0; i < 5; i++) expect((await readResponse(client)).body.toString()).toBe(`/${i}`);
  });

  it("keeps the bodies of pipelined requests apart", async () => {
    origin.answer((message) => ok(message.body));
    const bodies = Array.from({ length: 10 }, (_, i) => pattern(i * 1777, i + 1));
    const client = await proxy.connect();
    await client.send(
      ...bodies.map((body, i) =>
        i % 2 === 0
          ? request("POST / HTTP/1.1", { body })
          : Buffer.concat([
              request("POST / HTTP/1.1", { headers: ["transfer-encoding: chunked"] }),
              chunked([body]),
            ]),
      ),
    );
    for (const body of bodies) expect((await readResponse(client)).body.equals(body)).toBe(true);
  });

  it("finds the requests again when their bytes arrive in odd pieces", async () => {
    origin.answer((message) => ok(message.target));
    const client = await proxy.connect();
    await client.dribble(Buffer.concat(numbered(20)), 13, 0);
    for (let i = 0; i < 20; i++) expect((await readResponse(client)).body.toString()).toBe(`/${i}`);
  });

  it("mixes HEAD and GET without losing the place", async () => {
    origin.answer((message) =>
      message.method === "HEAD" ? "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n" : ok("body"),
    );
    const client = await proxy.connect();
    const methods = ["HEAD", "GET", "HEAD", "HEAD", "GET"];
    await client.send(...methods.map((method) => request(`${method} / HTTP/1.1`)));
    for (const method of methods) {
      expect((await readResponse(client, method)).body.toString()).toBe(method === "HEAD" ? "" : "body");
    }
  });

  it("answers everything that was sent before the client's FIN", async () => {
    origin.answer((message) => ok(message.target));
    const client = await proxy.connect();
    await client.send(...numbered(10));
    client.finish();
    for (let i = 0; i < 10; i++) expect((await readResponse(client)).body.toString()).toBe(`/${i}`);
    expect(await client.readToEnd()).toHaveLength(0);
  });

  it("does not serve what follows a request with connection: close", async () => {
    origin.answer((message) => ok(message.target));
    const client = await proxy.connect();
    await client.send(
      request("GET /last HTTP/1.1", { headers: ["connection: close"] }),
      request("GET /after HTTP/1.1"),
    );
    expect((await readResponse(client)).body.toString()).toBe("/last");
    expect(await client.readToEnd({ allowReset: true })).toHaveLength(0);
    expect(origin.requests.map(({ target }) => target)).toEqual(["/last"]);
  });

  it("does not send a request to the backend before the one in front of it was answered", async () => {
    let waiting = 0;
    let most = 0;
    origin.answer(async () => {
      most = Math.max(most, ++waiting);
      await delay(5);
      waiting--;
      return ok();
    });
    const client = await proxy.connect();
    await client.send(...numbered(10));
    for (let i = 0; i < 10; i++) await readResponse(client);
    expect(most).toBe(1);
  });
});
