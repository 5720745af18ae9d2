import { expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { expectNothingReached, expectRefused } from "../support/expect.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { eventually } from "../support/wait.js";

/** A POST with these header lines and the bytes after the head. */
const post = (headers: string, after = ""): string =>
  `POST / HTTP/1.1\r\nhost: test.example\r\n${headers}\r\n\r\n${after}`;
const get = (headers: string): string => `GET / HTTP/1.1\r\nhost: test.example\r\n${headers}\r\n\r\n`;
const chunkedPost = (body: string): string => post("transfer-encoding: chunked", body);
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nhost: test.example\r\n\r\n";

const malformed: Record<string, string> = {
  "content-length before transfer-encoding": post(
    "content-length: 5\r\ntransfer-encoding: chunked",
    "0\r\n\r\n",
  ),
  "transfer-encoding before content-length": post(
    "transfer-encoding: chunked\r\ncontent-length: 5",
    "0\r\n\r\n",
  ),
  "transfer-encoding and content-length: 0": post(
    "transfer-encoding: chunked\r\ncontent-length: 0",
    "0\r\n\r\n",
  ),
  "two different lengths": post("content-length: 5\r\ncontent-length: 6", "hello!"),
  "two different lengths in one field": post("content-length: 5, 6", "hello!"),
  "a length with a plus sign": post("content-length: +5", "hello"),
  "a negative length": post("content-length: -5", "hello"),
  "a length in hexadecimal": post("content-length: 0x5", "hello"),
  "a length with letters after it": post("content-length: 5x", "hello"),
  "a length with a space inside": post("content-length: 1 2", "hello"),
  "an empty length": post("content-length: ", "hello"),
  "a length beyond 64 bits": post("content-length: 18446744073709551621", "hello"),
  "an unknown transfer coding": post("transfer-encoding: gzip", "hello"),
  "the identity transfer coding": post("transfer-encoding: identity", "hello"),
  "chunked that is not the last coding": post("transfer-encoding: chunked, gzip", "0\r\n\r\n"),
  "chunked with letters before it": post("transfer-encoding: xchunked", "0\r\n\r\n"),
  "chunked twice": post("transfer-encoding: chunked\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
  "chunked after an unknown coding": post("transfer-encoding: cow, chunked", "0\r\n\r\n"),
  "chunked hidden by a vertical tab": post("transfer-encoding: \x0bchunked", "0\r\n\r\n"),
  "chunked in an HTTP/1.0 request with a length": `POST / HTTP/1.0\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
  "a bare CR in a header value": get(`x-a: b\rc`),
  "a bare CR before a header": get(`x-a: b\r\n\rx-b: c`),
  "bare LF as the end of a header line": "GET / HTTP/1.1\r\nhost: test.example\nx-a: b\r\n\r\n",
  "bare LF as the end of the request line": "GET / HTTP/1.1\nhost: test.example\r\n\r\n",
  "bare LF as the end of the head": `GET / HTTP/1.1\r\nhost: test.example\r\n\n${SMUGGLED}`,
  "a space before the colon": get("x-a : b"),
  "a tab before the colon": get("x-a\t: b"),
  "a space before the colon of content-length": post("content-length : 5", "hello"),
  "a space before the colon of transfer-encoding": post("transfer-encoding : chunked", "0\r\n\r\n"),
  "a folded header": get("x-a: b\r\n c"),
  "a folded transfer-encoding": post("transfer-encoding:\r\n chunked", "0\r\n\r\n"),
  "a space before the first header": "GET / HTTP/1.1\r\n host: test.example\r\n\r\n",
  "NUL in a header value": get("x-a: b\0c"),
  "NUL in a header name": get("x\0a: b"),
  "NUL in the target": "GET /\0 HTTP/1.1\r\nhost: test.example\r\n\r\n",
  "a control character in a header value": get("x-a: b\x01c"),
  "DEL in a header value": get("x-a: b\x7fc"),
  "a header without a colon": get("x-a"),
  "a header without a name": get(": b"),
  "a header name that is not a token": get("x(a): b"),
  "no target": "GET HTTP/1.1\r\nhost: test.example\r\n\r\n",
  "a space in the target": "GET /a b HTTP/1.1\r\nhost: test.example\r\n\r\n",
  "a target without a leading slash": "GET a HTTP/1.1\r\nhost: test.example\r\n\r\n",
  "an asterisk target for a method other than OPTIONS": "GET * HTTP/1.1\r\nhost: test.example\r\n\r\n",
  "a fragment in the target": "GET /a#b HTTP/1.1\r\nhost: test.example\r\n\r\n",
  "an unknown method": "BREW / HTTP/1.1\r\nhost: test.example\r\n\r\n",
  "a method in lower case": "get / HTTP/1.1\r\nhost: test.example\r\n\r\n",
  "another protocol": "GET / ICE/1.0\r\nhost: test.example\r\n\r\n",
  "a protocol name in lower case": "GET / http/1.1\r\nhost: test.example\r\n\r\n",
  "a version of three parts": "GET / HTTP/1.1.1\r\nhost: test.example\r\n\r\n",
  "no host": "GET / HTTP/1.1\r\nx-a: b\r\n\r\n",
  "two hosts": "GET / HTTP/1.1\r\nhost: test.example\r\nhost: other.example\r\n\r\n",
  "the same host twice": "GET / HTTP/1.1\r\nhost: test.example\r\nhost: test.example\r\n\r\n",
  "a host with a space": "GET / HTTP/1.1\r\nhost: test example\r\n\r\n",
  "a host that is a path": "GET / HTTP/1.1\r\nhost: test/example\r\n\r\n",
  "a chunk size that is no number": chunkedPost("zz\r\nhello\r\n0\r\n\r\n"),
  "an empty chunk size": chunkedPost("\r\nhello\r\n0\r\n\r\n"),
  "a negative chunk size": chunkedPost("-5\r\nhello\r\n0\r\n\r\n"),
  "a chunk size in C notation": chunkedPost("0x5\r\nhello\r\n0\r\n\r\n"),
  "a chunk size beyond 64 bits": chunkedPost("10000000000000005\r\nhello\r\n0\r\n\r\n"),
  "a space before the chunk size": chunkedPost(" 5\r\nhello\r\n0\r\n\r\n"),
  "bare LF after the chunk size": chunkedPost("5\nhello\r\n0\r\n\r\n"),
  "bare CR after the chunk size": chunkedPost("5\rhello\r\n0\r\n\r\n"),
  "NUL in a chunk extension": chunkedPost("5;a=\0\r\nhello\r\n0\r\n\r\n"),
};

forEachEngine("malformed requests", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  it.each(Object.entries(malformed))(
    "answers 400 to %s, and sends nothing to the backend",
    async (_, bytes) => {
      origin.answer(ok());
      const client = await proxy.connect();
      await client.send(bytes);
      await expectRefused(client, 400);
      await expectNothingReached(origin);
    },
  );

  it.each(["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0"])(
    "answers 505 to %s, and sends nothing to the backend",
    async (version) => {
      origin.answer(ok());
      const client = await proxy.connect();
      await client.send(`GET / ${version}\r\nhost: test.example\r\n\r\n`);
      await expectRefused(client, 505);
      await expectNothingReached(origin);
    },
  );

  it("refuses the HTTP/2 preface without sending anything to the backend", async () => {
    const client = await proxy.connect();
    await client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    expect([400, 505]).toContain((await readResponse(client)).status);
    await client.readToEnd();
    await expectNothingReached(origin);
  });

  it("refuses a TLS handshake without sending anything to the backend", async () => {
    const client = await proxy.connect();
    await client.send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    await expectRefused(client, 400);
    await expectNothingReached(origin);
  });

  it("answers a good request before it refuses the malformed one behind it", async () => {
    origin.answer(ok("first"));
    const client = await proxy.connect();
    await client.send(request("GET /good HTTP/1.1"), malformed["a space before the colon"]!);
    expect((await readResponse(client)).body.toString()).toBe("first");
    await expectRefused(client, 400);
    expect(origin.requests.map(({ target }) => target)).toEqual(["/good"]);
  });

  it("does not read what follows a malformed request as another request", async () => {
    origin.answer(ok());
    const client = await proxy.connect();
    await client.send(malformed["two different lengths"]!, SMUGGLED);
    await expectRefused(client, 400);
    await expectNothingReached(origin);
  });

  it.each([
    ["bytes beyond the size of a chunk", "lo\r\n0\r\n\r\n"],
    ["a later chunk size that is no number", "\r\nzz\r\n\r\n"],
    ["a trailer that is no header", "\r\n0\r\nno header\r\n\r\n"],
    ["a length among the trailers", "\r\n0\r\nx: 1\r\ncontent-length: 3\r\n\r\n"],
    ["a transfer coding among the trailers", "\r\n0\r\ntransfer-encoding: chunked\r\n\r\n"],
    ["a chunk extension that is nothing", "\r\n2;\r\nlo\r\n0\r\n\r\n"],
    ["a line end in a quoted chunk extension", '\r\n2;a="\r\nlo\r\n0\r\n\r\n'],
    ["a bare LF in a chunk extension", "\r\n2;a\nlo\r\n0\r\n\r\n"],
  ])("never completes a request that it had begun to forward before it met %s", async (_, bad) => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.ended();
    });
    const client = await proxy.connect();
    await client.send(chunkedPost("3\r\nhel"));
    await eventually("the first chunk at the origin", () => origin.received.includes("hel"));
    await client.send(bad);
    await expectRefused(client, 400);
    await (await origin.connection()).ended();
    expect(origin.received.toString("latin1")).not.toMatch(/\r\n0+\r\n/);
  });

  it("ignores one empty line before a request", async () => {
    origin.answer(ok());
    expect((await proxy.exchange(`\r\n${request().toString()}`)).status).toBe(200);
  });
});
