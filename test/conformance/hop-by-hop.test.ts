import { expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine, linksRequests } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import type { Field } from "../support/message.js";

/** Header lines of one hop, and the name that must not reach the other side. */
const hopByHop: Record<string, string[]> = {
  "keep-alive": ["keep-alive: timeout=5"],
  "proxy-connection": ["proxy-connection: keep-alive"],
  te: ["connection: te", "te: trailers"],
  upgrade: ["upgrade: h2c"],
  "x-nominated": ["connection: x-nominated", "x-nominated: 1"],
  "x-second": ["connection: keep-alive, X-Second", "x-second: 1"],
  "x-other-line": ["connection: x-nothing", "connection: x-other-line", "x-other-line: 1"],
};

const endToEnd: Field[] = [
  ["User-Agent", "test/1.0"],
  ["Accept", "*/*;q=0.5, text/html"],
  ["X-Repeated", "one"],
  ["x-repeated", "two"],
  ["X-Empty", ""],
  ["Cookie", "a=b; c=d"],
  ["X-Latin1", "caf\xe9"],
  ["X-Long", "v".repeat(8000)],
  ["Proxy-Authorization", "Basic eDp5"],
  ["Via", "1.0 fred"],
  ["X-Forwarded-For", "192.0.2.1"],
];

const lines = (fields: readonly Field[]) => fields.map(([name, value]) => `${name}: ${value}`);
const lowerNames = (fields: readonly Field[]) => fields.map(([name, value]) => [name.toLowerCase(), value]);
const FRAMING = ["host", "connection", "content-length", "transfer-encoding"];
const withoutFraming = (fields: readonly Field[]) =>
  fields.filter(([name]) => !FRAMING.includes(name.toLowerCase()));

forEachEngine("hop-by-hop headers", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  it.each(Object.entries(hopByHop))("does not forward %s of a request", async (name, headers) => {
    origin.answer(ok());
    expect((await proxy.exchange(request("GET / HTTP/1.1", { headers }))).status).toBe(200);
    expect(origin.requests[0]!.fields.has(name)).toBe(false);
    expect(origin.requests[0]!.fields.get("connection") ?? "keep-alive").toMatch(/^keep-alive$/i);
  });

  // A link brings back to user space what says more than these two.
  const passOnLinks = linksRequests(engine) ? ["keep-alive", "proxy-connection"] : [];
  it.each(Object.entries(hopByHop))("does not forward %s of a response", async (name, headers) => {
    origin.answer(ok("ok", ...headers));
    const answer = await proxy.exchange(request());
    expect(answer.fields.has(name)).toBe(passOnLinks.includes(name));
    expect(answer.fields.get("connection") ?? "keep-alive").toMatch(/^keep-alive$/i);
  });

  it("forwards all other request headers as they are and in their order", async () => {
    origin.answer(ok());
    await proxy.exchange(request("GET / HTTP/1.1", { headers: lines(endToEnd) }));
    const seen = withoutFraming(origin.requests[0]!.fields.list);
    expect(lowerNames(seen)).toEqual(lowerNames(endToEnd));
  });

  it("forwards all other response headers as they are and in their order", async () => {
    const fields: Field[] = [
      ["Date", "Tue, 01 Jan 2030 00:00:00 GMT"],
      ["Server", "origin/1.0"],
      ["Set-Cookie", "a=1; Path=/"],
      ["Set-Cookie", "b=2"],
      ["WWW-Authenticate", 'Basic realm="x"'],
      ...endToEnd,
    ];
    origin.answer(ok("ok", ...lines(fields)));
    const answer = await proxy.exchange(request());
    expect(lowerNames(withoutFraming(answer.fields.list))).toEqual(lowerNames(fields));
  });

  it("adds no header to a request on its own", async () => {
    origin.answer(ok());
    await proxy.exchange(request());
    expect(withoutFraming(origin.requests[0]!.fields.list)).toEqual([]);
  });

  it("adds no header to a response on its own", async () => {
    origin.answer(ok());
    expect(withoutFraming((await proxy.exchange(request())).fields.list)).toEqual([]);
  });

  it("keeps the host, the target and the method", async () => {
    origin.answer(ok());
    const target = "/a%20b/../c//d;p=1?q=1&q=%00&r=a/b?";
    await proxy.exchange(request(`DELETE ${target} HTTP/1.1`, { headers: ["Host: Shop.Example:8080"] }));
    const seen = origin.requests[0]!;
    expect([seen.method, seen.target, seen.fields.get("host")]).toEqual([
      "DELETE",
      target,
      "Shop.Example:8080",
    ]);
  });

  it.each(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PURGE"])(
    "forwards the method %s",
    async (method) => {
      origin.answer(ok());
      expect((await proxy.exchange(request(`${method} /x HTTP/1.1`))).status).toBe(200);
      expect(origin.requests[0]!.method).toBe(method);
    },
  );

  it.each([
    ["200 OK", 200, "OK"],
    ["201 Made It, With Words", 201, "Made It, With Words"],
    ["299 ", 299, ""],
    ["404 Not Found", 404, "Not Found"],
    ["500 Internal Server Error", 500, "Internal Server Error"],
    ["599 \xe9", 599, "\xe9"],
  ])("forwards the status line %j", async (line, status, reason) => {
    origin.answer(`HTTP/1.1 ${line}\r\ncontent-length: 0\r\n\r\n`);
    const answer = await proxy.exchange(request());
    expect([answer.status, answer.reason]).toEqual([status, reason]);
  });
});
