import { describe, expect, it } from "vitest";
import { ok, request, response } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { startRawOrigin, useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { startProxy } from "../support/proxy.js";
import { delay } from "../support/wait.js";

/** Cases that a review found, each once wrong. */
forEachEngine("what once went wrong", (engine) => {
  const first = useRawOrigin();
  const second = useRawOrigin();
  const proxy = useProxy(engine, () => ({
    config: {
      routes: [
        {
          match: { path: "/edited" },
          pool: "one",
          setRequestHeaders: { "x-set": "1" },
          removeRequestHeaders: "cookie",
        },
        { match: { path: "/one" }, pool: "one" },
        { match: {}, pool: "two" },
      ],
      pools: {
        one: { backends: [{ address: first.address }] },
        two: { backends: [{ address: first.address }, { address: second.address }] },
      },
      timeouts: { stream: "5s" },
    },
  }));

  describe("a chunked PUT whose framing was read before its backend failed", () => {
    it.each([
      [
        "the size line of a chunk",
        "2f\r\n",
        "0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\nx: y\r\n\r\n\r\n0\r\n\r\n",
      ],
      ["the last chunk", "0\r\n\r\n", ""],
    ])("is not sent again after %s", async (_, early, rest) => {
      for (const origin of [first, second]) {
        origin.script(async (wire) => {
          await wire.readHead();
          await delay(600);
          wire.reset();
        });
      }
      const client = await proxy.connect();
      await client.send(request("PUT / HTTP/1.1", { headers: ["transfer-encoding: chunked"] }));
      await delay(50);
      await client.send(early);
      await delay(900);
      expect((await readResponse(client)).status).toBe(502);
      await client.send(rest).catch(() => {});
      await delay(50);
      const received = Buffer.concat([first.received, second.received]).toString("latin1");
      expect(received.split("PUT / HTTP/1.1")).toHaveLength(2);
      expect(received).not.toContain("smuggled");
    });
  });

  it("a tunnel gets what its client sent ahead of the 101, the FIN included", async () => {
    const early = Buffer.alloc(20_000, "x");
    let got: Buffer = Buffer.alloc(0);
    first.script(async (wire) => {
      await wire.readHead();
      await delay(150);
      await wire.send(
        response("101 Switching Protocols", { headers: ["connection: upgrade", "upgrade: x"] }),
      );
      got = await wire.readToEnd();
      wire.finish();
    });
    const client = await proxy.connect();
    await client.send(
      request("GET /one HTTP/1.1", { headers: ["connection: upgrade", "upgrade: x"] }),
      early,
    );
    client.finish();
    expect((await readResponse(client)).status).toBe(101);
    await client.ended();
    expect(got.equals(early)).toBe(true);
  });

  it("a backend connection is used again after a body of any size", async () => {
    let connections = 0;
    first.script(async (wire) => {
      connections++;
      while (await wire.hasMore()) {
        await wire.readHead();
        await wire.send(response("200 OK", { headers: ["content-length: 200000"] }), Buffer.alloc(200_000));
      }
    });
    const client = await proxy.connect();
    for (let i = 0; i < 5; i++) {
      await client.send(request("GET /one HTTP/1.1"));
      expect((await readResponse(client)).body).toHaveLength(200_000);
    }
    expect(connections).toBe(1);
  });

  it("a status below 100 is garbage, not an interim response", async () => {
    first.answer(Buffer.from("HTTP/1.1 042 X\r\ncontent-length: 2\r\n\r\nab"));
    expect((await proxy.exchange(request("POST /one HTTP/1.1"))).status).toBe(502);
  });

  it.each(["h2c", "h2c,", "h2c, x", "x,h2c"])("an upgrade to %s is not passed on", async (upgrade) => {
    first.answer(ok());
    const headers = ["connection: upgrade", `upgrade: ${upgrade}`];
    await proxy.exchange(request("GET /one HTTP/1.1", { headers }));
    expect(first.requests[0]!.fields.has("upgrade")).toBe(false);
  });

  it("a bad chunk that comes with the head keeps the head from the backend", async () => {
    const answer = await proxy.exchange(
      Buffer.concat([
        Buffer.from(request("POST /one HTTP/1.1", { headers: ["transfer-encoding: chunked"] })),
        Buffer.from("3\r\nabc\r\nZZ\r\n"),
      ]),
    );
    expect(answer.status).toBe(400);
    expect(first.received).toHaveLength(0);
  });

  it.each(["a:b:c", "[::1", "a:99999999", ":80", "[zz]"])("the host %s is refused", async (host) => {
    const answer = await proxy.exchange(`GET /one HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
    expect(answer.status).toBe(400);
    expect(first.received).toHaveLength(0);
  });

  it("OPTIONS for a whole server is sent as *", async () => {
    first.answer(ok());
    second.answer(ok());
    await proxy.exchange(request("OPTIONS http://test.example HTTP/1.1"));
    expect([...first.requests, ...second.requests][0]!.target).toBe("*");
  });

  it("trailers cannot carry what a route sets or removes", async () => {
    first.answer(ok());
    await proxy.exchange(
      Buffer.concat([
        Buffer.from(request("POST /edited HTTP/1.1", { headers: ["transfer-encoding: chunked"] })),
        Buffer.from("0\r\nX-Set: evil\r\nCookie: evil\r\nX-Fine: yes\r\n\r\n"),
      ]),
    );
    const text = first.received.toString("latin1");
    expect(text).not.toContain("evil");
    expect(text).toContain("X-Fine: yes");
  });
});

forEachEngine("many backends that refuse", (engine) => {
  it("are all asked before the request fails", async () => {
    const good = await startRawOrigin();
    const dead = await Promise.all(Array.from({ length: 7 }, () => startRawOrigin()));
    const addresses = dead.map(({ address }) => address);
    for (const origin of dead) await origin.stop();
    const proxy = await startProxy({ engine, backends: [...addresses, good.address] });
    good.answer(ok());
    for (let i = 0; i < 8; i++) {
      expect((await proxy.exchange(request("POST / HTTP/1.1"))).status).toBe(200);
    }
    await proxy.stop();
  });
});
