import { expect, it } from "vitest";
import { chunked, ok, request, response } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { expectCutShort, expectErrorAnswer } from "../support/expect.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { eventually } from "../support/wait.js";

const head = (headers: string, after = ""): string => `HTTP/1.1 200 OK\r\n${headers}\r\n\r\n${after}`;

const malformed: Record<string, string> = {
  "no HTTP at all": "SSH-2.0-OpenSSH_9.2\r\n",
  "another protocol": "ICE/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
  "HTTP/2.0": "HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
  "a status of two digits": "HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok",
  "a status of four digits": "HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok",
  "a status with letters": "HTTP/1.1 2xx OK\r\ncontent-length: 2\r\n\r\nok",
  "no status": "HTTP/1.1 \r\ncontent-length: 2\r\n\r\nok",
  "two different lengths": head("content-length: 2\r\ncontent-length: 3", "ok!"),
  "a length that is no number": head("content-length: two", "ok"),
  "a negative length": head("content-length: -2", "ok"),
  "a length and a transfer coding": head(
    "content-length: 2\r\ntransfer-encoding: chunked",
    "2\r\nok\r\n0\r\n\r\n",
  ),
  "NUL in a header": head("x-a: b\0c\r\ncontent-length: 2", "ok"),
  "a bare CR in a header": head("x-a: b\rc\r\ncontent-length: 2", "ok"),
  "a bare CR behind the reason": "HTTP/1.1 200 OK\r\rx-a: b\r\ncontent-length: 2\r\n\r\nok",
  "a folded header": head("x-a: b\r\n c\r\ncontent-length: 2", "ok"),
  "a header without a colon": head("x-a\r\ncontent-length: 2", "ok"),
  "a space before the colon": head("content-length : 2", "ok"),
  "a head that is too large": head(`x-a: ${"a".repeat(70_000)}\r\ncontent-length: 2`, "ok"),
  "101 that nobody asked for":
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
};

forEachEngine("malformed responses", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  // POST, because a method that may be repeated would be tried again.
  it.each(Object.entries(malformed))("answers 502 when the backend sends %s", async (_, bytes) => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(bytes);
    });
    const client = await proxy.connect();
    await client.send(request("POST / HTTP/1.1", { body: "" }));
    await expectErrorAnswer(client, 502, "POST");
  });

  it("closes the backend's connection after a malformed response", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(malformed["no HTTP at all"]!);
    });
    await proxy.exchange(request("POST / HTTP/1.1", { body: "" }));
    await (await origin.connection()).ended();
  });

  it("answers 502 when the backend closes in the middle of the head", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send("HTTP/1.1 200 OK\r\ncontent-le");
      wire.finish();
    });
    const client = await proxy.connect();
    await client.send(request("POST / HTTP/1.1", { body: "" }));
    await expectErrorAnswer(client, 502);
  });

  const truncated: Record<string, Buffer> = {
    "a body that is shorter than its length": response("200 OK", { headers: ["content-length: 100"] }),
    "a chunked body without its last chunk": response("200 OK", { headers: ["transfer-encoding: chunked"] }),
  };
  const firstBytes: Record<string, string> = {
    "a body that is shorter than its length": "hello",
    "a chunked body without its last chunk": "5\r\nhello\r\n",
  };
  for (const how of ["FIN", "RST"] as const) {
    it.each(Object.entries(truncated))(
      `never makes %s look complete when the backend ends by ${how}`,
      async (title, bytes) => {
        origin.script(async (wire) => {
          await wire.readHead();
          await wire.send(bytes, firstBytes[title]!);
          await eventually("the first bytes at the client", () => client.received.includes("hello"));
          if (how === "FIN") wire.finish();
          else wire.reset();
        });
        const client = await proxy.connect();
        await client.send(request());
        await expectCutShort(client);
      },
    );
  }

  const badChunks: Record<string, string> = {
    "a chunk size that is no number": "zz\r\nhello\r\n0\r\n\r\n",
    "a chunk longer than its size": "3\r\nhello\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": "10000000000000000\r\nhello\r\n0\r\n\r\n",
  };
  it.each(Object.entries(badChunks))("cuts the client's connection at %s", async (_, bad) => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response("200 OK", { headers: ["transfer-encoding: chunked"] }), "4\r\ngood\r\n");
      await eventually("the good chunk at the client", () => client.received.includes("good"));
      await wire.send(bad);
    });
    const client = await proxy.connect();
    await client.send(request());
    await expectCutShort(client);
  });

  it("does not reuse a backend's connection that sent more than its response", async () => {
    origin.answer(Buffer.concat([ok("mine"), ok("poison")]));
    const client = await proxy.connect();
    for (let round = 0; round < 2; round++) {
      await client.send(request());
      expect((await readResponse(client)).body.toString()).toBe("mine");
    }
    expect(origin.connections).toHaveLength(2);
  });

  it("does not take bytes that were sent on an idle connection for the next response", async () => {
    origin.answer(ok("good"));
    const client = await proxy.connect();
    await client.send(request());
    await readResponse(client);
    await origin.connections[0]!.send(ok("poison"));
    await origin.connections[0]!.ended();
    await client.send(request());
    expect((await readResponse(client)).body.toString()).toBe("good");
    expect(origin.connections).toHaveLength(2);
  });

  it("does not take a body after a HEAD response for the next response", async () => {
    origin.answer((message) => (message.method === "HEAD" ? ok("POISON") : ok("good")));
    const client = await proxy.connect();
    await client.send(request("HEAD / HTTP/1.1"));
    await readResponse(client, "HEAD");
    await client.send(request());
    expect((await readResponse(client)).body.toString()).toBe("good");
  });

  it("goes on serving the client after a malformed response", async () => {
    let bad = true;
    origin.answer(() =>
      bad
        ? "garbage\r\n\r\n"
        : Buffer.concat([response("200 OK", { headers: ["transfer-encoding: chunked"] }), chunked(["fine"])]),
    );
    const client = await proxy.connect();
    await client.send(request("POST / HTTP/1.1", { body: "" }));
    await expectErrorAnswer(client, 502);
    bad = false;
    await client.send(request());
    expect((await readResponse(client)).body.toString()).toBe("fine");
  });
});
