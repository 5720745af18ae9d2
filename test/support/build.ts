/** Writes HTTP messages as bytes, so that tests show only what matters in them. */
import { createHash } from "node:crypto";
import { type Bytes, toBuffer } from "./wire.js";

interface MessageParts {
  headers?: readonly string[];
  body?: Bytes;
}

/** A request with `host: test.example`; a body gets its content-length. Headers are given as whole lines. */
export function request(line = "GET / HTTP/1.1", { headers = [], body }: MessageParts = {}): Buffer {
  const hasHost = headers.some((header) => /^host:/i.test(header));
  const lines = [line, ...(hasHost ? [] : ["host: test.example"]), ...headers];
  return assemble(lines, body);
}

/** A response with a content-length; give `body: undefined` and own headers for any other framing. */
export function response(status = "200 OK", { headers = [], body }: MessageParts = {}): Buffer {
  return assemble([`HTTP/1.1 ${status}`, ...headers], body);
}

/** 200 with that body. */
export const ok = (body: Bytes = "ok", ...headers: string[]): Buffer => response("200 OK", { headers, body });

function assemble(lines: readonly string[], body: Bytes | undefined): Buffer {
  const length = body === undefined ? [] : [`content-length: ${toBuffer(body).length}`];
  const head = Buffer.from(`${[...lines, ...length].join("\r\n")}\r\n\r\n`, "latin1");
  return body === undefined ? head : Buffer.concat([head, toBuffer(body)]);
}

/** The chunked coding of the pieces, with the last chunk and trailer lines. */
export function chunked(pieces: readonly Bytes[], trailers: readonly string[] = []): Buffer {
  const parts = pieces
    .map(toBuffer)
    .map((piece) => [Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]);
  const end = Buffer.from(`0\r\n${trailers.map((line) => `${line}\r\n`).join("")}\r\n`, "latin1");
  return Buffer.concat([...parts.flat(), end]);
}

/** Bytes that look random and are the same in every run (xorshift32). */
export function pattern(size: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return Buffer.from(words.buffer, 0, size);
}

export const sha256 = (bytes: Uint8Array | string): string =>
  createHash("sha256").update(bytes).digest("hex");
