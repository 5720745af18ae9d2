/**
 * Requests as they might come, each with where it belongs: on every connection mostly plain ones to the same place, and
 * between them odd ones to anywhere. All follows from a seed and the number of the connection, so that whoever has to know
 * what was sent makes it once more.
 */
import { createHash } from "node:crypto";
import { chunked, pattern } from "./build.js";
import type { Field } from "./message.js";
import { Random } from "./random.js";
import { placeOf, poolOf, type ReferenceRoute } from "./reference-router.js";

export const ROUTES: readonly ReferenceRoute[] = [
  { match: { host: "api.example", path: "/v1/", method: ["POST", "PUT"] }, pool: "write" },
  { match: { host: "api.example", path: "/v1/" }, pool: "read" },
  { match: { host: "*.media.example", pathRegex: "\\.(mp4|webm)$" }, pool: "video" },
  { match: { path: "/shop", header: { "x-tier": "gold*" } }, pool: "gold" },
  { match: { path: "/shop" }, pool: "shop" },
  { match: { host: "static.example" }, pool: "static" },
];

export interface MixedRequest {
  /** The value of its field `x-id`, which the backend repeats. */
  readonly id: string;
  readonly bytes: Buffer;
  /** Where its bytes are cut, each piece being sent by itself. */
  readonly cuts: readonly number[];
  readonly method: string;
  /** As a backend may see them. */
  readonly authority: string;
  readonly target: string;
  readonly body: Buffer;
  /** Bytes of the response's body. */
  readonly size: number;
  /** Where it belongs, or the status that refuses it. */
  readonly goes: { readonly pool: string } | { readonly status: number };
  /** The connection ends behind its response. */
  readonly closes: boolean;
}

interface Place {
  readonly host: string;
  readonly path: string;
}

/** Where most requests of a connection go. */
const HOMES: readonly Place[] = [
  { host: "api.example", path: "/v1/items/" },
  { host: "shop.example", path: "/shop/" },
  { host: "static.example", path: "/img/" },
];
const HOSTS = ["api.example", "cdn.media.example", "a.b.media.example", "media.example", "static.example"];
const OTHER_HOSTS = ["shop.example", "xapi.example", "api.example.org"];
const PATHS = ["/v1/users", "/v1", "/shop", "/shop/cart", "/a.mp4", "/v1/b.webm", "/shop/c.mp4"];
const OTHER_PATHS = ["/", "/shopping", "/V1/users", "/a.mp4.txt", "/v1/../shop", "/shop/../v1/"];
const METHODS = ["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** How many of the requests are odd. */
const ODD = 0.15;
const BATCH = 8;
const CONTENT = pattern(1_000_000);

/** The content of the response to a request, told apart from those of others by where it begins. */
export function contentOf(id: string, size: number): Buffer {
  const at = createHash("md5").update(id).digest().readUInt32LE() % (CONTENT.length - size);
  return CONTENT.subarray(at, at + size);
}

/** What a backend says of a body that it got. */
export const digestOf = (body: Buffer): string =>
  body.length === 0 ? "0" : `${body.length}:${createHash("md5").update(body).digest("hex")}`;

/** The requests of a connection, in the batches in which they are sent without waiting for answers. */
export function* mixedConnection(seed: number, connection: number): Generator<MixedRequest[]> {
  const random = new Random(Math.imul(seed, 0x9e3779b1) + connection);
  const home = random.pick(HOMES);
  const total = 20 + random.below(400);
  let batch: MixedRequest[] = [];
  for (let number = 0; number < total; number++) {
    const id = `${connection}.${number}`;
    const request = random.chance(ODD) ? oddRequest(random, id) : plainRequest(random, id, home);
    batch.push(request);
    if (request.closes) break;
    if (batch.length < BATCH && random.chance(0.4)) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Mostly small; now and then so large that an engine may take it over. */
const randomSize = (random: Random): number => random.below(random.chance(0.01) ? 400_000 : 1_000);

function plainRequest(random: Random, id: string, { host, path }: Place): MixedRequest {
  const size = randomSize(random);
  const target = `${path}${id}?size=${size}`;
  const fields: Field[] = [
    ["Host", host],
    ["User-Agent", "mixed"],
    ["Accept", "*/*"],
    ["X-Id", id],
  ];
  const bytes = Buffer.from(headText(`GET ${target} HTTP/1.1`, fields), "latin1");
  return complete({ id, bytes, method: "GET", target, fields, size });
}

const headText = (line: string, fields: readonly Field[]): string =>
  `${line}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;

interface Sent extends Pick<MixedRequest, "id" | "bytes" | "method" | "size"> {
  /** As it is sent. */
  readonly target: string;
  readonly fields: readonly Field[];
}

/** Adds what follows from the rest, unless it is given. */
function complete(
  { id, bytes, method, size, ...head }: Sent,
  { cuts = [], body = Buffer.alloc(0), closes = false, goes }: Partial<MixedRequest> = {},
): MixedRequest {
  const place = placeOf({ method, ...head });
  const pool = poolOf(ROUTES, { method, ...head });
  // What has no route is refused before its body is read.
  const hasBody = head.fields.some(
    ([name, value]) =>
      /^transfer-encoding$/i.test(name) || (/^content-length$/i.test(name) && Number(value) > 0),
  );
  const unread = pool === undefined && hasBody;
  return {
    ...{ id, bytes, cuts, method, body, size, ...place },
    goes: goes ?? (pool === undefined ? { status: 404 } : { pool }),
    closes: closes || unread,
  };
}

function oddRequest(random: Random, id: string): MixedRequest {
  if (random.chance(0.01)) return malformedRequest(random, id);
  const method = random.pick(METHODS);
  const size = randomSize(random);
  const host = oddHost(random);
  const fields: Field[] = [
    ["host", host],
    ["x-id", id],
  ];
  if (random.chance(0.2)) fields.push(["x-tier", random.pick(["gold", "golden", "Gold", "silver, gold"])]);
  // More than one packet has room for.
  if (random.chance(0.1)) fields.push(["x-filler", "f".repeat(1_500 + random.below(10_000))]);
  const old = random.chance(0.01);
  const target = oddTarget(random, { method, size, old });
  // Without a route, a body ends the connection.
  const mayHaveBody = poolOf(ROUTES, { method, target, fields }) !== undefined || random.chance(0.1);
  const takesBody = method === "GET" ? random.chance(0.05) : /^P/.test(method) && random.chance(0.9);
  const body = mayHaveBody && takesBody ? oddBody(random) : undefined;
  const isChunked = body !== undefined && !old && random.chance(0.5);
  if (isChunked) fields.push(["transfer-encoding", "chunked"]);
  else if (body !== undefined) fields.push(["content-length", String(body.length)]);
  const closes = old || random.chance(0.01);
  if (closes) fields.push(["connection", "close"]);
  const head = oddHead(random, `${method} ${target} HTTP/1.${old ? 0 : 1}`, fields);
  const coded = isChunked ? oddChunks(random, body) : (body ?? Buffer.alloc(0));
  const bytes = Buffer.concat([head, coded]);
  const cuts = oddCuts(random, head.length, bytes.length);
  return complete({ id, bytes, method, target, fields, size }, { cuts, closes, ...(body && { body }) });
}

function oddHost(random: Random): string {
  const host = random.pick(random.chance(0.8) ? HOSTS : OTHER_HOSTS);
  if (random.chance(0.2)) return mixedCase(random, host);
  if (random.chance(0.1)) return `${host}:${random.pick(["", "80", "8080"])}`;
  return random.chance(0.1) ? `${host}.` : host;
}

const mixedCase = (random: Random, text: string): string =>
  text.replace(/[a-z]/g, (letter) => (random.chance(0.5) ? letter.toUpperCase() : letter));

function oddTarget(
  random: Random,
  { method, size, old }: { method: string; size: number; old: boolean },
): string {
  if (method === "OPTIONS" && random.chance(0.3)) return "*";
  const path = oddPath(random, random.pick(random.chance(0.8) ? PATHS : OTHER_PATHS));
  const decoy = random.chance(0.3) ? `&next=${random.pick(["/shop", "/../v1/", "a.mp4", "%2fshop"])}` : "";
  const coding = !old && random.chance(0.3) ? "&chunked" : "";
  const target = `${path}?size=${size}${coding}${decoy}`;
  if (random.chance(0.85)) return target;
  return `${random.pick(["http", "HTTP", "https"])}://${oddHost(random)}${target}`;
}

/** The same place, or nearly, written otherwise. */
function oddPath(random: Random, path: string): string {
  const change = random.next();
  if (change < 0.5) return path;
  if (change < 0.7) {
    return path.replace(/[\w.]/g, (letter) => (random.chance(0.4) ? percentEncoded(random, letter) : letter));
  }
  if (change < 0.75) return path.replace(/(.)\//, "$1%2f");
  const detour = random.pick(["/.", "/x/..", "/%2e", "/x/%2E.", "/..", "/x/y/../.."]);
  const slashes = [...path.matchAll(/\//g)].map(({ index }) => index);
  const at = random.pick([...slashes, path.length]);
  return path.slice(0, at) + detour + path.slice(at);
}

function percentEncoded(random: Random, letter: string): string {
  const hex = letter.charCodeAt(0).toString(16).padStart(2, "0");
  return `%${random.chance(0.5) ? hex : hex.toUpperCase()}`;
}

/** Field names in any case, any order, with any blanks; perhaps empty lines before it. */
function oddHead(random: Random, line: string, fields: readonly Field[]): Buffer {
  const blanks = ["", " ", "  ", "\t", " \t"];
  const lines = [...fields]
    .sort(() => random.next() - 0.5)
    .map(([name, value]) => {
      const odd = random.chance(0.3);
      if (!odd) return `${name}: ${value}\r\n`;
      // A tab behind these values is refused.
      const behind = /^(content-length|transfer-encoding)$/.test(name) ? "" : random.pick(blanks);
      return `${mixedCase(random, name)}:${random.pick(blanks)}${value}${behind}\r\n`;
    });
  const before = random.chance(0.05) ? "\r\n".repeat(1 + random.below(2)) : "";
  return Buffer.from(`${before}${line}\r\n${lines.join("")}\r\n`, "latin1");
}

function oddBody(random: Random): Buffer {
  if (random.chance(0.5)) return contentOf(String(random.next()), randomSize(random));
  // What it says is nobody's request.
  return Buffer.from(`${random.chance(0.5) ? "0\r\n\r\n" : ""}${hidden()}`.repeat(1 + random.below(3)));
}

/** A good request that no backend may see: its id is none. */
const hidden = (): string =>
  headText("GET /shop/hidden HTTP/1.1", [
    ["Host", "shop.example"],
    ["X-Id", "hidden"],
  ]);

function oddChunks(random: Random, body: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const size = 1 + random.below(body.length);
    pieces.push(body.subarray(at, at + size));
    at += size;
  }
  return chunked(pieces, random.chance(0.3) ? ["x-trailer: 1", "x-tier: gold"] : []);
}

/** Mostly none, some at random, rarely between any two bytes of the head. */
function oddCuts(random: Random, head: number, total: number): number[] {
  if (random.chance(0.02)) return Array.from({ length: Math.min(head, 400) }, (_, index) => index + 1);
  if (random.chance(0.6)) return [];
  const cuts = Array.from({ length: 1 + random.below(3) }, () => 1 + random.below(total));
  return cuts.sort((a, b) => a - b);
}

/** Refused with 400; behind it comes a good request, which must not be taken for one. */
function malformedRequest(random: Random, id: string): MixedRequest {
  const good = { line: "GET /shop HTTP/1.1", host: "Host: shop.example", id: `X-Id: ${id}` };
  const { line, host } = good;
  const lines = random.pick([
    [line, host, good.id, "Content-Length: 3", "Transfer-Encoding: chunked"],
    [line, host, good.id, "Content-Length: 3", "Content-Length: 4"],
    [line, host, good.id, "Content-Length : 3"],
    [line, host, good.id, "X-Folded: a", " b"],
    [line, host, good.id, "X-Bare: a\rb"],
    [line, host, `${good.id}\nX-Line: feed`],
    [line, host, good.id, "X-Nul: a\0"],
    [line, host, "Host: api.example", good.id],
    [line, good.id],
    ["GET /shop#part HTTP/1.1", host, good.id],
    ["GET shop HTTP/1.1", host, good.id],
    ["GET /shop a HTTP/1.1", host, good.id],
  ]);
  const bytes = Buffer.from(`${lines.join("\r\n")}\r\n\r\n${hidden()}`, "latin1");
  const sent = { id, bytes, method: "GET", target: "/shop", fields: [], size: 0 };
  return complete(sent, { closes: true, goes: { status: 400 } });
}
