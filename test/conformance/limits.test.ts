import { expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { expectNothingReached, expectRefused } from "../support/expect.js";
import { startRawOrigin, useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { startProxy } from "../support/proxy.js";
import { delay } from "../support/wait.js";

const HEAD_BYTES = 2048;
const HEADERS = 20;

forEachEngine("limits", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({
    backends: [origin.address],
    config: { limits: { headerBytes: HEAD_BYTES, headers: HEADERS } },
  }));

  /** A request whose head has exactly that many bytes. */
  const headOf = (bytes: number): Buffer => {
    const base = request("GET / HTTP/1.1", { headers: ["x: "] }).length;
    return request("GET / HTTP/1.1", { headers: [`x: ${"a".repeat(bytes - base)}`] });
  };
  /** A request with that many header fields, host included. */
  const fieldsOf = (count: number): Buffer =>
    request("GET / HTTP/1.1", { headers: Array.from({ length: count - 1 }, (_, i) => `x-${i}: 1`) });

  it("takes a head of the largest size", async () => {
    origin.answer(ok());
    expect((await proxy.exchange(headOf(HEAD_BYTES))).status).toBe(200);
  });

  it("answers 431 to a head of one byte more", async () => {
    const client = await proxy.connect();
    await client.send(headOf(HEAD_BYTES + 1));
    await expectRefused(client, 431);
    await expectNothingReached(origin);
  });

  it("answers 431 to a head that never ends, as soon as it is too large", async () => {
    const client = await proxy.connect();
    await client.send("GET / HTTP/1.1\r\nhost: test.example\r\nx: ", "a".repeat(HEAD_BYTES));
    await expectRefused(client, 431);
    await expectNothingReached(origin);
  });

  it("takes as many headers as are allowed", async () => {
    origin.answer(ok());
    expect((await proxy.exchange(fieldsOf(HEADERS))).status).toBe(200);
    expect(origin.requests[0]!.fields.has(`x-${HEADERS - 2}`)).toBe(true);
  });

  it("answers 431 to one header more", async () => {
    const client = await proxy.connect();
    await client.send(fieldsOf(HEADERS + 1));
    await expectRefused(client, 431);
    await expectNothingReached(origin);
  });

  it("answers 414 to a target that is larger than a head may be", async () => {
    const client = await proxy.connect();
    await client.send(request(`GET /${"a".repeat(HEAD_BYTES)} HTTP/1.1`));
    await expectRefused(client, 414);
    await expectNothingReached(origin);
  });

  it("bounds the trailer section like a head", async () => {
    origin.answer(ok());
    const client = await proxy.connect();
    const trailer = `x: ${"a".repeat(HEAD_BYTES)}`;
    await client.send(
      request("POST / HTTP/1.1", { headers: ["transfer-encoding: chunked"] }),
      `0\r\n${trailer}\r\n\r\n`,
    );
    expect([400, 431]).toContain((await readResponse(client)).status);
    expect(origin.requests).toHaveLength(0);
  });

  it.each([
    ["more trailer fields than a head may have", `0\r\n${"x: 1\r\n".repeat(HEADERS + 1)}\r\n`],
    ["an extension that is larger than a head may be", `5;${"a".repeat(HEAD_BYTES)}\r\nhello\r\n0\r\n\r\n`],
    ["leading zeros without end", `${"0".repeat(HEAD_BYTES)}5\r\nhello\r\n0\r\n\r\n`],
  ])("answers 400 to %s", async (_, body) => {
    origin.answer(ok());
    const client = await proxy.connect();
    await client.send(request("POST / HTTP/1.1", { headers: ["transfer-encoding: chunked"] }), body);
    await expectRefused(client, 400);
    expect(origin.requests).toHaveLength(0);
  });

  it("does not count what stands between chunks all together", async () => {
    origin.answer(ok());
    const chunks = `1;${"a".repeat(HEAD_BYTES / 2)}\r\nx\r\n`.repeat(10);
    const client = await proxy.connect();
    await client.send(
      request("POST / HTTP/1.1", { headers: ["transfer-encoding: chunked"] }),
      chunks,
      "0\r\n\r\n",
    );
    expect((await readResponse(client)).status).toBe(200);
    expect(origin.requests[0]!.body.toString()).toBe("x".repeat(10));
  });

  it("counts the limit for each head by itself, however many are pipelined", async () => {
    origin.answer(ok());
    const client = await proxy.connect();
    await client.send(...Array.from({ length: 10 }, () => headOf(HEAD_BYTES)));
    for (let i = 0; i < 10; i++) expect((await readResponse(client)).status).toBe(200);
  });

  it("does not serve more connections than are allowed, until one closes", async () => {
    const own = await startRawOrigin();
    own.answer(ok());
    const narrow = await startProxy({
      engine,
      backends: [own.address],
      config: { limits: { connections: 2 } },
    });
    const [first, second] = [await narrow.connect(), await narrow.connect()];
    for (const client of [first, second]) {
      await client.send(request());
      expect((await readResponse(client)).status).toBe(200);
    }
    const third = await narrow.connectCold();
    await third.send(request("GET /third HTTP/1.1"));
    await delay(200);
    expect(third.received.toString()).not.toContain("200 OK");
    third.destroy();
    first.destroy();
    await expect
      .poll(() =>
        narrow.exchange(request()).then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200);
  });
});

forEachEngine("default limits", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  it("takes 15 KiB of headers", async () => {
    origin.answer(ok());
    const answer = await proxy.exchange(
      request("GET / HTTP/1.1", { headers: [`x: ${"a".repeat(15 * 1024)}`] }),
    );
    expect(answer.status).toBe(200);
  });

  it("answers 431 to 17 KiB of headers", async () => {
    const client = await proxy.connect();
    await client.send(request("GET / HTTP/1.1", { headers: [`x: ${"a".repeat(17 * 1024)}`] }));
    await expectRefused(client, 431);
  });

  it("answers 431 to 101 headers", async () => {
    const client = await proxy.connect();
    const headers = Array.from({ length: 100 }, (_, i) => `x-${i}: 1`);
    await client.send(request("GET / HTTP/1.1", { headers }));
    await expectRefused(client, 431);
  });
});
