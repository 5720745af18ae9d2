/** Backends that break every promise that a server makes. */
import { expect, it } from "vitest";
import { chunked, ok, pattern, request, response } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { expectCutShort, expectErrorAnswer } from "../support/expect.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { withClient } from "../support/hostile-exchange.js";
import { inParallel } from "../support/hostile-pieces.js";
import { readResponse } from "../support/message.js";
import { rssBytes } from "../support/process-info.js";
import { delay } from "../support/wait.js";
import type { Bytes, Wire } from "../support/wire.js";

const TIMEOUTS = { connect: "2s", response: "2s", stream: "3s" };
const MIB = 1024 * 1024;
/** Not repeated for another backend, so the first one's misdeed decides. */
const POST = request("POST /bad HTTP/1.1", { body: "" });
const CHUNKED_HEAD = response("200 OK", { headers: ["transfer-encoding: chunked"] });

/** A value of a header or chunk that is sent for ever, and what comes before it. */
const endless: [title: string, start: Bytes, again: Bytes][] = [
  ["a status line without end", "HTTP/1.1 200 ", "a".repeat(1000)],
  ["a header name without end", "HTTP/1.1 200 OK\r\n", "a".repeat(1000)],
  ["a header value without end", "HTTP/1.1 200 OK\r\nx-a: ", "a".repeat(1000)],
  ["headers without end", "HTTP/1.1 200 OK\r\n", "x-a: b\r\n".repeat(100)],
  ["interim responses without end", "", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(20)],
];
const endlessBodies: [title: string, start: Bytes, again: Bytes][] = [
  ["a chunk extension without end", "5;", "a".repeat(1000)],
  ["zeros before a chunk size without end", "", "0".repeat(1000)],
  ["a trailer without end", "2\r\nok\r\n0\r\nx-a: ", "a".repeat(1000)],
  ["trailers without end", "2\r\nok\r\n0\r\n", "x-a: b\r\n".repeat(100)],
];

/** Sends the same again until the other side has enough. */
async function sendForEver(wire: Wire, bytes: Bytes): Promise<void> {
  while (wire.end === undefined) await wire.send(bytes);
}

forEachEngine("backends that misbehave", (engine) => {
  const origin = useRawOrigin();
  const good = useRawOrigin();
  const proxy = useProxy(engine, () => ({
    config: {
      timeouts: TIMEOUTS,
      routes: [
        { match: { path: "/refused" }, pool: "refused" },
        { match: { path: "/good" }, pool: "good" },
        { match: {}, pool: "bad" },
      ],
      pools: {
        refused: { backends: [{ address: "127.0.0.1:1" }] },
        good: { backends: [{ address: good.address }] },
        bad: { backends: [{ address: origin.address }] },
      },
    },
  }));

  /** What the misdeed must not have touched. */
  const expectOthersServed = async (client: Wire) => {
    good.answer(ok("fine"));
    await client.send(request("GET /good HTTP/1.1"));
    expect((await readResponse(client)).body.toString()).toBe("fine");
  };
  const ask = async (bytes: Bytes = POST) => {
    const client = await proxy.connect();
    await client.send(bytes);
    return client;
  };

  it("refuse: 502, and the client's connection goes on", async () => {
    const client = await ask(request("POST /refused HTTP/1.1", { body: "" }));
    await expectErrorAnswer(client, 502, "POST");
    await expectOthersServed(client);
  });

  it("accept and never answer: 504 in time, and the backend's connection ends", async () => {
    origin.script(() => undefined);
    const start = performance.now();
    const client = await ask();
    await expectErrorAnswer(client, 504, "POST");
    // Links are looked at once a second, and the first look only sees that something has moved.
    expect(performance.now() - start).toBeLessThan(12_000);
    await (await origin.connection()).ended();
    await expectOthersServed(client);
  });

  it.each([
    ["random bytes", pattern(MIB)],
    ["zeros", Buffer.alloc(MIB)],
    ["line ends", "\r\n".repeat(100_000)],
    ["a TLS alert", "\x15\x03\x01\x00\x02\x02\x46"],
    ["a mail server's greeting", "220 mail.example ESMTP\r\n"],
  ])("answer garbage (%s): 502", async (_, garbage) => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(garbage);
    });
    const client = await ask();
    await expectErrorAnswer(client, 502, "POST");
    await (await origin.connection()).ended();
    await expectOthersServed(client);
  });

  const messages: [string, Buffer][] = [
    ["a body with a length", ok("0123456789")],
    ["chunks", Buffer.concat([CHUNKED_HEAD, chunked(["01234", "56789"], ["x-a: b"])])],
  ];
  for (const how of ["FIN", "RST"] as const) {
    it.each(messages)(
      `close with ${how} at every byte of a response with %s: never a whole one`,
      async (_, bytes) => {
        origin.script(async (wire) => {
          const target = (await wire.readHead()).toString("latin1").split(" ")[1]!;
          await wire.send(bytes.subarray(0, Number(target.slice(1))));
          // What was sent shall be read before the end is noticed: a RST would overtake it.
          await delay(5);
          if (how === "FIN") wire.finish();
          else wire.reset();
        });
        const headLength = bytes.indexOf("\r\n\r\n") + 4;
        await inParallel([...bytes.keys()], 100, (at) =>
          withClient(proxy, async (client) => {
            await client.send(request(`POST /${at} HTTP/1.1`, { body: "" }));
            if (at < headLength) await expectErrorAnswer(client, 502, "POST");
            else await expectCutShort(client, "POST");
          }),
        );
      },
    );
  }

  it("answer before the request is complete: the client gets it, and nothing is mixed up", async () => {
    origin.script(async (wire, index) => {
      await wire.readHead();
      await wire.send(index === 0 ? response("413 Too Much", { body: "enough" }) : ok("second"));
    });
    const early = await ask(request("POST / HTTP/1.1", { headers: ["content-length: 1000000"] }));
    const answer = await readResponse(early);
    expect([answer.status, answer.body.toString()]).toEqual([413, "enough"]);
    expect(answer.fields.get("connection")).toBe("close");
    // Nobody may be given a connection on which the rest of that request is still missing.
    expect((await readResponse(await ask())).body.toString()).toBe("second");
    expect(origin.connections).toHaveLength(2);
  });

  it("answer and close while an upload is on its way: the client gets the answer", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response("413 Too Much", { headers: ["connection: close"], body: "enough" }));
      wire.finish();
      await wire.ended();
    });
    const client = await ask(request("POST / HTTP/1.1", { headers: [`content-length: ${8 * MIB}`] }));
    void client.send(pattern(8 * MIB));
    const answer = await readResponse(client);
    expect([answer.status, answer.body.toString()]).toEqual([413, "enough"]);
  });

  it("speak before they were asked: the words answer nobody's later request", async () => {
    origin.script(async (wire, index) => {
      await wire.send(ok(`unasked ${index}`));
      await origin.serve(wire, ok("asked"));
    });
    for (let i = 0; i < 10; i++) {
      const answer = await readResponse(await ask(POST));
      // What came first on a fresh connection is taken for its first answer; what came second is nobody's.
      expect([`unasked ${origin.connections.length - 1}`, "asked"]).toContain(answer.body.toString());
    }
    expect(origin.connections).toHaveLength(10);
  });

  it.each([
    ["a second response", ok("poison")],
    ["a few bytes", "x"],
    ["much", pattern(MIB)],
  ])("send more than Content-Length (%s): the rest reaches nobody", async (_, surplus) => {
    origin.answer(() =>
      Buffer.concat([ok("mine"), typeof surplus === "string" ? Buffer.from(surplus) : surplus]),
    );
    const [first, second] = [await ask(), await proxy.connect()];
    expect((await readResponse(first)).body.toString()).toBe("mine");
    for (const client of [first, second, first]) {
      await client.send(POST);
      expect((await readResponse(client)).body.toString()).toBe("mine");
    }
    await delay(50);
    for (const client of [first, second]) expect(await client.hasMore(1).catch(() => false)).toBe(false);
    expect(origin.connections).toHaveLength(4);
  });

  it("send bytes on idle connections: these are closed, and the bytes reach nobody", async () => {
    origin.answer(async (message) => {
      await delay(20);
      return ok(message.target);
    });
    const clients = await Promise.all(
      Array.from({ length: 20 }, (_, i) => ask(request(`GET /${i} HTTP/1.1`))),
    );
    for (const [i, client] of clients.entries()) {
      expect((await readResponse(client)).body.toString()).toBe(`/${i}`);
    }
    const idle = [...origin.connections];
    await Promise.all(idle.map((wire) => wire.send(ok("poison"))));
    await Promise.all(idle.map((wire) => wire.ended()));
    for (const [i, client] of clients.entries()) {
      await client.send(request(`GET /again/${i} HTTP/1.1`));
      expect((await readResponse(client)).body.toString()).toBe(`/again/${i}`);
    }
    expect(origin.connections.length).toBeGreaterThan(idle.length);
  });

  it("send 100,000 headers: 502", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      const headers = Array.from({ length: 100_000 }, (_, i) => `x-${i}: ${i}`);
      await wire.send(ok("never", ...headers));
    });
    const before = rssBytes(proxy.pid);
    const client = await ask();
    await expectErrorAnswer(client, 502, "POST");
    expect(rssBytes(proxy.pid) - before).toBeLessThan(4 * MIB);
    await expectOthersServed(client);
  });

  it.each(endless)("send %s: cut off with 502, without growing", async (_, start, again) => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(start);
      await sendForEver(wire, again);
    });
    const before = rssBytes(proxy.pid);
    const client = await ask();
    await expectErrorAnswer(client, 502, "POST");
    await (await origin.connection()).ended();
    expect(rssBytes(proxy.pid) - before).toBeLessThan(4 * MIB);
  });

  it.each(endlessBodies)("send %s: cut off short, without growing", async (_, start, again) => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(CHUNKED_HEAD, "3\r\nyes\r\n");
      await delay(20);
      await wire.send(start);
      await sendForEver(wire, again);
    });
    const before = rssBytes(proxy.pid);
    const client = await ask();
    await expectCutShort(client, "POST");
    await (await origin.connection()).ended();
    expect(rssBytes(proxy.pid) - before).toBeLessThan(4 * MIB);
  });

  it("answer one byte per second: 504 for a head, patience for a body, and nobody else waits", async () => {
    origin.script(async (wire) => {
      const head = (await wire.readHead()).toString("latin1");
      if (head.includes("/body")) {
        await wire.send(response("200 OK", { headers: ["content-length: 5"] }));
        await wire.dribble("abcde", 1, 1_000);
      } else {
        await wire.dribble(ok("never"), 1, 1_000);
      }
    });
    const slowHead = await ask();
    const slowBody = await ask(request("GET /body HTTP/1.1"));
    const other = await proxy.connect();
    for (let i = 0; i < 20; i++) await expectOthersServed(other);
    expect(slowBody.received.toString()).not.toContain("abcde");
    await expectErrorAnswer(slowHead, 504, "POST");
    expect((await readResponse(slowBody)).body.toString()).toBe("abcde");
  });
});
