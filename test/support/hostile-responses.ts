/** Responses for the hostile tests: those that no client may see, and odd ones that must go through. */

/** A response to a POST that is wrong in its head, or only in the body behind a good head. */
export interface BadResponse {
  readonly bytes: string;
  /** True when the head is good: then it may have gone on, and the client must see that the rest is missing. */
  readonly isHeadGood: boolean;
}

const head = (...headers: string[]) =>
  `HTTP/1.1 200 OK\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n`;
const LENGTH = "content-length: 2";
const CHUNKED = "transfer-encoding: chunked";

const badHeads: Record<string, string> = {
  "no HTTP at all": "SSH-2.0-OpenSSH_9.2\r\n\r\n",
  "another protocol": `ICE/1.0 200 OK\r\n${LENGTH}\r\n\r\nok`,
  "a request": `GET / HTTP/1.1\r\nhost: test.example\r\n\r\n`,
  "HTTP/2": `HTTP/2.0 200 OK\r\n${LENGTH}\r\n\r\nok`,
  "HTTP/0.9": `HTTP/0.9 200 OK\r\n${LENGTH}\r\n\r\nok`,
  "an empty line before it": `\r\n${head(LENGTH)}ok`,
  "a status of two digits": `HTTP/1.1 20 OK\r\n${LENGTH}\r\n\r\nok`,
  "a status of four digits": `HTTP/1.1 2000 OK\r\n${LENGTH}\r\n\r\nok`,
  "a status below 100": `HTTP/1.1 099 OK\r\n${LENGTH}\r\n\r\nok`,
  "a status of zero": `HTTP/1.1 000 OK\r\n${LENGTH}\r\n\r\nok`,
  "no status": `HTTP/1.1 \r\n${LENGTH}\r\n\r\nok`,
  "two spaces before the status": `HTTP/1.1  200 OK\r\n${LENGTH}\r\n\r\nok`,
  "NUL in the reason": `HTTP/1.1 200 O\0K\r\n${LENGTH}\r\n\r\nok`,
  "a control character in the reason": `HTTP/1.1 200 O\x1bK\r\n${LENGTH}\r\n\r\nok`,
  "DEL in the reason": `HTTP/1.1 200 O\x7fK\r\n${LENGTH}\r\n\r\nok`,
  "NUL in the reason of an interim response": `HTTP/1.1 103 E\0\r\n\r\n${head(LENGTH)}ok`,
  "a bare CR in the reason": `HTTP/1.1 200 O\rK\r\n${LENGTH}\r\n\r\nok`,
  "a bare LF behind the status line": `HTTP/1.1 200 OK\n${LENGTH}\r\n\r\nok`,
  "a bare LF behind a header": `HTTP/1.1 200 OK\r\n${LENGTH}\n\r\nok`,
  "a bare LF as the end of the head": `HTTP/1.1 200 OK\r\n${LENGTH}\r\n\nok`,
  "two different lengths": `${head(LENGTH, "content-length: 3")}ok!`,
  "two different lengths in one field": `${head("content-length: 2, 3")}ok!`,
  "a length that is no number": `${head("content-length: two")}ok`,
  "a negative length": `${head("content-length: -2")}ok`,
  "a length with a sign": `${head("content-length: +2")}ok`,
  "an empty length": `${head("content-length:")}ok`,
  "a length beyond 64 bits": `${head("content-length: 18446744073709551618")}ok`,
  "a length, then a transfer coding": `${head(LENGTH, CHUNKED)}2\r\nok\r\n0\r\n\r\n`,
  "a transfer coding, then a length": `${head(CHUNKED, LENGTH)}2\r\nok\r\n0\r\n\r\n`,
  "a tab behind the length": `${head(`${LENGTH}\t`)}ok`,
  "a tab behind chunked": `${head(`${CHUNKED}\t`)}2\r\nok\r\n0\r\n\r\n`,
  "a tab and a space behind chunked": `${head(`${CHUNKED}\t `)}2\r\nok\r\n0\r\n\r\n`,
  "an unknown transfer coding": `${head("transfer-encoding: gzip")}ok`,
  "chunked that is not the last coding": `${head("transfer-encoding: chunked, gzip")}2\r\nok\r\n0\r\n\r\n`,
  "chunked twice": `${head(CHUNKED, CHUNKED)}2\r\nok\r\n0\r\n\r\n`,
  "chunked in HTTP/1.0": `HTTP/1.0 200 OK\r\n${CHUNKED}\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
  "a bare CR in a value": `${head("x-a: b\rc", LENGTH)}ok`,
  "NUL in a value": `${head("x-a: b\0c", LENGTH)}ok`,
  "NUL in a name": `${head("x\0a: b", LENGTH)}ok`,
  "a folded header": `${head("x-a: b", " c", LENGTH)}ok`,
  "a header without a colon": `${head("x-a", LENGTH)}ok`,
  "a space before the colon": `${head("x-a : b", LENGTH)}ok`,
  "a space before the colon of the length": `${head("content-length : 2")}ok`,
  "101 that nobody asked for":
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
};

const badChunks: Record<string, string> = {
  "a chunk size that is no number": "zz\r\nok\r\n0\r\n\r\n",
  "an empty chunk size": "\r\nok\r\n0\r\n\r\n",
  "a negative chunk size": "-2\r\nok\r\n0\r\n\r\n",
  "a chunk size beyond 64 bits": "10000000000000002\r\nok\r\n0\r\n\r\n",
  "a space before the chunk size": " 2\r\nok\r\n0\r\n\r\n",
  "a bare LF behind the chunk size": "2\nok\r\n0\r\n\r\n",
  "NUL in a chunk extension": "2;\0\r\nok\r\n0\r\n\r\n",
  "a chunk longer than its size": "1\r\nok\r\n0\r\n\r\n",
  "a chunk ended by a bare LF": "2\r\nok\n0\r\n\r\n",
  "a trailer without a colon": "2\r\nok\r\n0\r\nx-a\r\n\r\n",
};

export const badResponses: ReadonlyMap<string, BadResponse> = new Map<string, BadResponse>([
  ...Object.entries(badHeads).map(([title, bytes]) => [title, { bytes, isHeadGood: false }] as const),
  ...Object.entries(badChunks).map(
    ([title, chunks]) => [title, { bytes: head(CHUNKED) + chunks, isHeadGood: true }] as const,
  ),
]);

/** Responses that are right, however they look. The backend closes behind each of them. */
export const goodResponses: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "a length": `${head(LENGTH)}ok`,
    "an empty body": head("content-length: 0"),
    "no reason": `HTTP/1.1 200 \r\n${LENGTH}\r\n\r\nok`,
    "neither a reason nor the space before it": `HTTP/1.1 200\r\n${LENGTH}\r\n\r\nok`,
    "a reason beyond ASCII": `HTTP/1.1 200 \xe9\t ok \r\n${LENGTH}\r\n\r\nok`,
    "HTTP/1.0": `HTTP/1.0 200 OK\r\n${LENGTH}\r\n\r\nok`,
    "a body that ends with the connection": `${head()}body`,
    "chunks with extensions and a trailer": `${head("Transfer-Encoding: CHUNKED")}002;a="b"\r\nok\r\n3;c\r\nyes\r\n0\r\nx-t: \t1 \r\n\r\n`,
    "chunks that look like responses": `${head(CHUNKED)}${(7).toString(16)}\r\n0\r\n\r\nHT\r\n0\r\n\r\n`,
    "odd spacing, empty and repeated values": `${head("x-a:b", "X-A: \t c \t", "x-b:", LENGTH, "x-c: \xff")}ok`,
    "hop-by-hop fields": `${head("connection: x-a, keep-alive", "x-a: 1", "keep-alive: timeout=9", "upgrade: h2c", LENGTH)}ok`,
    "no content": "HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n",
    "not modified, with the length of the whole": "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
    "interim responses before it": `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\nconnection: x-b\r\nx-b: 1\r\n\r\n${head(LENGTH)}ok`,
  }),
);
