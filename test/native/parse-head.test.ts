import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadAddon } from "../../src/dataplane/index.js";

const { parseHead } = loadAddon();
const parse = (kind: "request" | "response", text: string, splits: number[] = []) =>
  parseHead(kind, Buffer.from(text, "latin1"), splits);

/** Lengths of the names and values that a head may have. */
const token = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}$/);
const value = fc.stringMatching(/^([!-~]([ -~]{0,30}[!-~])?)?$/);
// Names that llhttp gives a meaning would make some of the random heads invalid.
const reserved = /^(content-length|transfer-encoding|connection|upgrade|proxy-connection)$/i;
const fields = fc.array(
  fc.tuple(
    token.filter((name) => !reserved.test(name)),
    value,
  ),
  { maxLength: 12 },
);

describe("reading a head", () => {
  it("finds the same fields wherever the bytes are cut", () => {
    fc.assert(
      fc.property(fields, fc.array(fc.nat()), (list, cuts) => {
        const head = `GET /path?query HTTP/1.1\r\n${list.map(([n, v]) => `${n}: ${v}\r\n`).join("")}\r\n`;
        const text = `${head}GET /next`;
        const splits = [...new Set(cuts.map((cut) => cut % head.length))].sort((a, b) => a - b);
        const result = parse("request", text, splits);
        expect(result.status).toBe("complete");
        expect(result.length).toBe(head.length);
        expect(result.target).toBe("/path?query");
        expect(result.fields).toEqual(list);
      }),
      { numRuns: 500 },
    );
  });

  it("needs more for every prefix of a head, and for nothing longer", () => {
    const head = "HTTP/1.1 200 OK\r\nA: b\r\nEmpty:\r\nLast:  spaced \t\r\n\r\n";
    for (let length = 1; length < head.length; length++) {
      expect(parse("response", head.slice(0, length)).status).toBe("need-more");
    }
    const everyByte = Array.from({ length: head.length - 1 }, (_, i) => i + 1);
    const result = parse("response", head, everyByte);
    expect(result).toMatchObject({ status: "complete", code: 200, length: head.length });
    expect(result.fields).toEqual([
      ["A", "b"],
      ["Empty", ""],
      ["Last", "spaced"],
    ]);
  });

  it.each([
    ["a bare LF after the request line", "GET / HTTP/1.1\nHost: x\r\n\r\n"],
    ["a bare LF after a field", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"],
    ["a bare CR in a value", "GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n"],
    ["a blank before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n"],
    ["a folded value", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"],
    ["a blank before the first field", "GET / HTTP/1.1\r\n Host: x\r\n\r\n"],
    ["NUL in a value", "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n"],
    ["a control character in a value", "GET / HTTP/1.1\r\nA: b\x01c\r\n\r\n"],
    ["two lengths that differ", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"],
    ["a signed length", "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n"],
    ["a list of lengths", "POST / HTTP/1.1\r\nContent-Length: 1,1\r\n\r\n"],
    ["both length and chunks", "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ["an unknown method", "FOO / HTTP/1.1\r\n\r\n"],
  ])("refuses %s, however it arrives", (_, text) => {
    const head = text.length;
    expect(parse("request", text).status).toBe("error");
    const everyByte = Array.from({ length: head - 1 }, (_, i) => i + 1);
    expect(parse("request", text, everyByte).status).toBe("error");
  });
});
