import { expect, it } from "vitest";
import { chunked, ok, pattern, request, response } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { type Framing, readResponse } from "../support/message.js";
import { eventually, Gate } from "../support/wait.js";

const BINARY = pattern(10_000);
const CHUNKED = "transfer-encoding: chunked";

interface RequestCase {
  title: string;
  bytes: Buffer;
  body: Buffer;
  framing: Framing;
}

const requests: RequestCase[] = [
  { title: "a GET without a body", bytes: request(), body: Buffer.alloc(0), framing: "none" },
  {
    title: "a POST of no bytes",
    bytes: request("POST / HTTP/1.1", { body: "" }),
    body: Buffer.alloc(0),
    framing: "length",
  },
  {
    title: "a POST with a length",
    bytes: request("POST / HTTP/1.1", { body: BINARY }),
    body: BINARY,
    framing: "length",
  },
  {
    title: "a GET with a body",
    bytes: request("GET / HTTP/1.1", { body: "why not" }),
    body: Buffer.from("why not"),
    framing: "length",
  },
  {
    title: "a chunked POST",
    bytes: chunkedRequest(chunked([BINARY.subarray(0, 1), BINARY.subarray(1, 5000), BINARY.subarray(5000)])),
    body: BINARY,
    framing: "chunked",
  },
  {
    title: "a chunked POST of no bytes",
    bytes: chunkedRequest(chunked([])),
    body: Buffer.alloc(0),
    framing: "chunked",
  },
  {
    title: "chunk sizes in upper case, with leading zeros and extensions",
    bytes: chunkedRequest(Buffer.from('00A;name="value"\r\n0123456789\r\n0;last\r\n\r\n')),
    body: Buffer.from("0123456789"),
    framing: "chunked",
  },
  {
    title: "chunk extensions that lack a name or a value, which RFC 9112 does not know",
    bytes: chunkedRequest(Buffer.from('003;="b"\r\nhel\r\n2;a=;c="\\"";d=e"f"\r\nlo\r\n0;;z\r\n\r\n')),
    body: Buffer.from("hello"),
    framing: "chunked",
  },
  {
    title: "a chunked body that contains what looks like its end",
    bytes: chunkedRequest(chunked(["0\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n"])),
    body: Buffer.from("0\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n"),
    framing: "chunked",
  },
];

function chunkedRequest(body: Buffer): Buffer {
  return Buffer.concat([request("POST / HTTP/1.1", { headers: [CHUNKED] }), body]);
}

interface ResponseCase {
  title: string;
  method?: string;
  bytes: Buffer;
  body: Buffer;
  framing: Framing;
}

const responses: ResponseCase[] = [
  { title: "a length", bytes: ok(BINARY), body: BINARY, framing: "length" },
  { title: "a length of zero", bytes: ok(""), body: Buffer.alloc(0), framing: "length" },
  {
    title: "chunks",
    bytes: Buffer.concat([response("200 OK", { headers: [CHUNKED] }), chunked([BINARY, "x"])]),
    body: Buffer.concat([BINARY, Buffer.from("x")]),
    framing: "chunked",
  },
  {
    title: "no chunk but the last",
    bytes: Buffer.concat([response("200 OK", { headers: [CHUNKED] }), chunked([])]),
    body: Buffer.alloc(0),
    framing: "chunked",
  },
  {
    title: "the length of what a HEAD does not get",
    method: "HEAD",
    bytes: response("200 OK", { headers: ["content-length: 12345"] }),
    body: Buffer.alloc(0),
    framing: "none",
  },
  {
    title: "the transfer coding of what a HEAD does not get",
    method: "HEAD",
    bytes: response("200 OK", { headers: [CHUNKED] }),
    body: Buffer.alloc(0),
    framing: "none",
  },
  {
    title: "204 and nothing more",
    bytes: response("204 No Content"),
    body: Buffer.alloc(0),
    framing: "none",
  },
  {
    title: "304 with the length of the cached body",
    bytes: response("304 Not Modified", { headers: ["content-length: 500", 'etag: "a"'] }),
    body: Buffer.alloc(0),
    framing: "none",
  },
];

const named = <T extends { title: string }>(cases: readonly T[]) =>
  cases.map((one) => [one.title, one] as const);

forEachEngine("framing", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  it.each(named(requests))("forwards %s", async (_, { bytes, body, framing }) => {
    origin.answer(ok("done"));
    const client = await proxy.connect();
    await client.send(bytes);
    expect((await readResponse(client)).body.toString()).toBe("done");
    const seen = origin.requests[0]!;
    expect(seen.body.equals(body)).toBe(true);
    expect(seen.framing).toBe(framing);
  });

  it.each(named(requests))(
    "forwards %s that arrives in pieces of seven bytes",
    async (_, { bytes, body }) => {
      origin.answer(ok("done"));
      const client = await proxy.connect();
      await client.dribble(bytes.length > 1000 ? bytes.subarray(0, 200) : bytes, 7, 0);
      if (bytes.length > 1000) await client.dribble(bytes.subarray(200), 1999, 0);
      expect((await readResponse(client)).status).toBe(200);
      expect(origin.requests[0]!.body.equals(body)).toBe(true);
    },
  );

  it.each(named(responses))("returns a response with %s, and keeps both connections", async (_, testCase) => {
    const { method = "GET", bytes, body, framing } = testCase;
    origin.answer(bytes);
    const client = await proxy.connect();
    for (let round = 0; round < 2; round++) {
      await client.send(request(`${method} /${round} HTTP/1.1`));
      const answer = await readResponse(client, method);
      expect(answer.body.equals(body)).toBe(true);
      expect(answer.framing).toBe(framing);
    }
    expect(origin.connections).toHaveLength(1);
  });

  it.each(named(responses))("returns a response with %s that arrives byte by byte", async (_, testCase) => {
    const { method = "GET", bytes, body } = testCase;
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.dribble(bytes.subarray(0, 120), 1, 0);
      await wire.dribble(bytes.subarray(120), 1999, 0);
    });
    const client = await proxy.connect();
    await client.send(request(`${method} / HTTP/1.1`));
    expect((await readResponse(client, method)).body.equals(body)).toBe(true);
  });

  it("keeps the length that a HEAD response announces", async () => {
    origin.answer(response("200 OK", { headers: ["content-length: 12345"] }));
    const client = await proxy.connect();
    await client.send(request("HEAD / HTTP/1.1"));
    expect((await readResponse(client, "HEAD")).fields.get("content-length")).toBe("12345");
  });

  it("turns a response that ends with its connection into chunks for an HTTP/1.1 client", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response(), BINARY);
      wire.finish();
    });
    const client = await proxy.connect();
    await client.send(request());
    const answer = await readResponse(client);
    expect(answer.framing).toBe("chunked");
    expect(answer.body.equals(BINARY)).toBe(true);
  });

  it("forwards request trailers", async () => {
    origin.answer(ok());
    const client = await proxy.connect();
    await client.send(chunkedRequest(chunked(["body"], ["x-checksum: 1234", "x-other: b"])));
    await readResponse(client);
    expect(origin.requests[0]!.trailers.list).toEqual([
      ["x-checksum", "1234"],
      ["x-other", "b"],
    ]);
  });

  it("drops trailers that would have to be known before the body (RFC 9110, 6.5.1)", async () => {
    origin.answer(ok());
    const client = await proxy.connect();
    const trailers = [
      "host: other.example",
      "connection: x-fine",
      "te: trailers",
      "expect: 1",
      "x-fine: yes",
    ];
    await client.send(chunkedRequest(chunked(["body"], trailers)));
    expect((await readResponse(client)).status).toBe(200);
    expect(origin.requests[0]!.body.toString()).toBe("body");
    expect(origin.requests[0]!.trailers.list).toEqual([["x-fine", "yes"]]);
  });

  it("forwards response trailers", async () => {
    const head = response("200 OK", { headers: [CHUNKED, "trailer: x-checksum"] });
    origin.answer(Buffer.concat([head, chunked(["body"], ["x-checksum: 1234"])]));
    const client = await proxy.connect();
    await client.send(request());
    const answer = await readResponse(client);
    expect(answer.body.toString()).toBe("body");
    expect(answer.trailers.list).toEqual([["x-checksum", "1234"]]);
  });

  it("delivers each chunk as it comes, not at the end of the response", async () => {
    const rest = new Gate();
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response("200 OK", { headers: [CHUNKED] }), "5\r\nfirst\r\n");
      await rest.passed;
      await wire.send("6\r\nsecond\r\n0\r\n\r\n");
    });
    const client = await proxy.connect();
    await client.send(request());
    await eventually("the first chunk", () => client.received.includes("first"));
    rest.open();
    expect((await readResponse(client)).body.toString()).toBe("firstsecond");
  });
});
