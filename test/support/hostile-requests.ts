/** Requests for the hostile tests: those that must be refused, and odd ones that must go through. */
import { chunked } from "./build.js";

/** A request that is refused because of its head, or because of the body behind a good head. */
export interface BadRequest {
  readonly bytes: string;
  readonly status: number;
  /** The length of the head when only the body is wrong: a head that came alone may have gone on by then. */
  readonly goodHead?: number;
}

const HOST = "host: test.example";
const get = (...headers: string[]) => `GET /x HTTP/1.1\r\n${[HOST, ...headers].join("\r\n")}\r\n\r\n`;
const post = (headers: readonly string[], body = "") =>
  `POST /x HTTP/1.1\r\n${[HOST, ...headers].join("\r\n")}\r\n\r\n${body}`;
const CHUNKED = "transfer-encoding: chunked";

const badHeads: Record<string, string> = {
  "a length, then a transfer coding": post(["content-length: 5", CHUNKED], "0\r\n\r\n"),
  "a transfer coding, then a length": post([CHUNKED, "content-length: 5"], "0\r\n\r\n"),
  "a transfer coding and a length of zero": post([CHUNKED, "content-length: 0"], "0\r\n\r\n"),
  "two different lengths": post(["content-length: 5", "content-length: 6"], "hello!"),
  "two different lengths in one field": post(["content-length: 5, 6"], "hello!"),
  "a length with a sign": post(["content-length: +5"], "hello"),
  "a negative length": post(["content-length: -5"], "hello"),
  "a length in hexadecimal": post(["content-length: 0x5"], "hello"),
  "a length with letters behind it": post(["content-length: 5x"], "hello"),
  "a length of two numbers": post(["content-length: 1 2"], "hello"),
  "an empty length": post(["content-length:"], "hello"),
  "a length beyond 64 bits": post(["content-length: 18446744073709551621"], "hello"),
  "a tab behind the length": post(["content-length: 5\t"], "hello"),
  "a tab behind chunked": post([`${CHUNKED}\t`], "0\r\n\r\n"),
  "an unknown transfer coding": post(["transfer-encoding: gzip"], "hello"),
  "the coding identity": post(["transfer-encoding: identity"], "hello"),
  "chunked that is not the last coding": post(["transfer-encoding: chunked, gzip"], "0\r\n\r\n"),
  "chunked behind another coding": post(["transfer-encoding: gzip, chunked"], "0\r\n\r\n"),
  "chunked twice": post([CHUNKED, CHUNKED], "0\r\n\r\n"),
  "chunked with a parameter": post(["transfer-encoding: chunked;q=1"], "0\r\n\r\n"),
  "chunked in quotes": post(['transfer-encoding: "chunked"'], "0\r\n\r\n"),
  "chunked behind a vertical tab": post(["transfer-encoding: \x0bchunked"], "0\r\n\r\n"),
  "chunked in HTTP/1.0": `POST /x HTTP/1.0\r\n${HOST}\r\n${CHUNKED}\r\n\r\n0\r\n\r\n`,
  "a bare CR in a value": get("x-a: b\rc"),
  "a bare CR before a name": get("x-a: b", "\rx-b: c"),
  "a bare CR in the request line": `GET /x\rHTTP/1.1\r\n${HOST}\r\n\r\n`,
  "a bare LF behind a header": `GET /x HTTP/1.1\r\n${HOST}\nx-a: b\r\n\r\n`,
  "a bare LF behind the request line": `GET /x HTTP/1.1\n${HOST}\r\n\r\n`,
  "a bare LF as the end of the head": `GET /x HTTP/1.1\r\n${HOST}\r\n\n`,
  "a space before the colon": get("x-a : b"),
  "a tab before the colon": get("x-a\t: b"),
  "a space before the colon of the length": post(["content-length : 5"], "hello"),
  "a space before the colon of the coding": post(["transfer-encoding : chunked"], "0\r\n\r\n"),
  "a folded header": get("x-a: b", " c"),
  "a header folded with a tab": get("x-a: b", "\tc"),
  "a folded transfer coding": post(["transfer-encoding:", " chunked"], "0\r\n\r\n"),
  "a space before the first header": `GET /x HTTP/1.1\r\n ${HOST}\r\n\r\n`,
  "NUL in a value": get("x-a: b\0c"),
  "NUL in a name": get("x\0a: b"),
  "NUL in the target": `GET /x\0 HTTP/1.1\r\n${HOST}\r\n\r\n`,
  "a control character in a value": get("x-a: b\x01c"),
  "DEL in a value": get("x-a: b\x7fc"),
  "DEL in the target": `GET /x\x7f HTTP/1.1\r\n${HOST}\r\n\r\n`,
  "a byte beyond ASCII in the target": `GET /x\xe9 HTTP/1.1\r\n${HOST}\r\n\r\n`,
  "a byte beyond ASCII in a name": get("x-\xe9: b"),
  "a header without a colon": get("x-a"),
  "a header without a name": get(": b"),
  "a name that is no token": get("x(a): b"),
  "a fragment in the target": `GET /x#a HTTP/1.1\r\n${HOST}\r\n\r\n`,
  "a space in the target": `GET /x y HTTP/1.1\r\n${HOST}\r\n\r\n`,
  "two spaces before the target": `GET  /x HTTP/1.1\r\n${HOST}\r\n\r\n`,
  "a tab in the request line": `GET\t/x HTTP/1.1\r\n${HOST}\r\n\r\n`,
  "user information in the target": `GET http://u@test.example/ HTTP/1.1\r\n${HOST}\r\n\r\n`,
  "another scheme in the target": `GET ftp://test.example/ HTTP/1.1\r\n${HOST}\r\n\r\n`,
  "an asterisk that OPTIONS did not ask for": `GET * HTTP/1.1\r\n${HOST}\r\n\r\n`,
  "an unknown method": `BREW /x HTTP/1.1\r\n${HOST}\r\n\r\n`,
  "another protocol": `GET /x ICE/1.0\r\n${HOST}\r\n\r\n`,
  "no host": "GET /x HTTP/1.1\r\nx-a: b\r\n\r\n",
  "two hosts": get("host: other.example"),
  "a host with a path": "GET /x HTTP/1.1\r\nhost: test.example/a\r\n\r\n",
  "a host with user information": "GET /x HTTP/1.1\r\nhost: u@test.example\r\n\r\n",
};

const badBodies: Record<string, string> = {
  "a chunk size that is no number": "zz\r\nhello\r\n0\r\n\r\n",
  "an empty chunk size": "\r\nhello\r\n0\r\n\r\n",
  "a negative chunk size": "-5\r\nhello\r\n0\r\n\r\n",
  "a chunk size in C notation": "0x5\r\nhello\r\n0\r\n\r\n",
  "a chunk size beyond 64 bits": "10000000000000005\r\nhello\r\n0\r\n\r\n",
  "a space before the chunk size": " 5\r\nhello\r\n0\r\n\r\n",
  "a space behind the chunk size": "5 \r\nhello\r\n0\r\n\r\n",
  "a bare LF behind the chunk size": "5\nhello\r\n0\r\n\r\n",
  "a bare CR behind the chunk size": "5\rhello\r\n0\r\n\r\n",
  "NUL in a chunk extension": "5;a=\0\r\nhello\r\n0\r\n\r\n",
  "a bare LF in a chunk extension": "5;a\nb\r\nhello\r\n0\r\n\r\n",
  "a chunk longer than its size": "3\r\nhello\r\n0\r\n\r\n",
  "a chunk ended by a bare LF": "5\r\nhello\n0\r\n\r\n",
  "a trailer without a colon": "5\r\nhello\r\n0\r\nx-a\r\n\r\n",
  "a trailer with a space before the colon": "5\r\nhello\r\n0\r\nx-a : b\r\n\r\n",
  "NUL in a trailer": "5\r\nhello\r\n0\r\nx-a: \0\r\n\r\n",
};

export const badRequests: ReadonlyMap<string, BadRequest> = new Map<string, BadRequest>([
  ...Object.entries(badHeads).map(([title, bytes]) => [title, { bytes, status: 400 }] as const),
  ["a later version", { bytes: `GET /x HTTP/1.2\r\n${HOST}\r\n\r\n`, status: 505 }] as const,
  ["HTTP/2", { bytes: `GET /x HTTP/2.0\r\n${HOST}\r\n\r\n`, status: 505 }] as const,
  [
    "CONNECT",
    { bytes: "CONNECT test.example:443 HTTP/1.1\r\nhost: test.example:443\r\n\r\n", status: 405 },
  ] as const,
  ...Object.entries(badBodies).map(
    ([title, body]) =>
      [title, { bytes: post([CHUNKED], body), status: 400, goodHead: post([CHUNKED]).length }] as const,
  ),
]);

/** Requests that are right, however they look. None asks for an interim response or for a close. */
export const goodRequests: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "a plain GET": get(),
    "an empty line before it": `\r\n${get()}`,
    "HTTP/1.0": `GET /x HTTP/1.0\r\n${HOST}\r\n\r\n`,
    "an absolute target": `GET http://other.example?q HTTP/1.1\r\n${HOST}\r\n\r\n`,
    "OPTIONS for the whole server": `OPTIONS * HTTP/1.1\r\n${HOST}\r\n\r\n`,
    "odd spacing and empty values": get("x-a:b", "x-b:  \t c \t ", "x-c:", "x-d: \t "),
    "bytes beyond ASCII in a value": get("x-a: \xe9\x80\xff"),
    "repeated fields": get("x-a: 1", "X-A: 2", "x-a: 1"),
    "all kinds of hop-by-hop fields": get(
      "connection: x-a, keep-alive,,",
      "x-a: 1",
      "te: trailers",
      "keep-alive: timeout=5",
      "proxy-connection: keep-alive",
      "upgrade: h2c",
      "x-ab: 2",
    ),
    "a nominated field that the proxy itself knows": get("connection: trailer", "trailer: x-a"),
    "an attempt to nominate the length": post(
      ["connection: content-length, host", "content-length: 2"],
      "ok",
    ),
    "an upgrade that the backend declines": get("connection: upgrade", "upgrade: echo"),
    "a length": post(["content-length: 5"], "hello"),
    "a length with zeros before it": post(["content-length: 005"], "hello"),
    "chunks with extensions and a trailer": post(
      [CHUNKED],
      '003;a="b"\r\nhel\r\n2;c\r\nlo\r\n00\r\nx-t: \t1 \r\nx-u:\r\n\r\n',
    ),
    "chunks that look like requests": post(
      ["Transfer-Encoding:\tChunked"],
      chunked(["0\r\n\r\n", get()]).toString(),
    ),
  }),
);
