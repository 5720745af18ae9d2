/**
 * A strict HTTP/1.1 reader for tests, independent of the parser under test: it accepts exactly what RFC 9112 lets a
 * sender generate, so that a message the proxy got wrong fails here instead of being repaired.
 */
import type { Wire } from "./wire.js";

export type Field = readonly [name: string, value: string];

/** What delimited a body. */
export type Framing = "none" | "length" | "chunked" | "close";

/** A header section; names are compared without regard to case. */
export class Fields {
  readonly list: readonly Field[];

  constructor(list: readonly Field[]) {
    this.list = list;
  }

  all(name: string): string[] {
    return this.list.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
  }

  /** The value of a field that occurs at most once; throws when it is repeated. */
  get(name: string): string | undefined {
    const values = this.all(name);
    if (values.length > 1) throw new Error(`${name} occurs ${values.length} times`);
    return values[0];
  }

  has(name: string): boolean {
    return this.all(name).length > 0;
  }
}

interface Message {
  readonly version: string;
  readonly fields: Fields;
  readonly framing: Framing;
  readonly body: Buffer;
  readonly trailers: Fields;
}

export interface RequestMessage extends Message {
  readonly method: string;
  readonly target: string;
}

export interface ResponseMessage extends Message {
  readonly status: number;
  readonly reason: string;
  /** The 1xx responses that came before, without a 101. */
  readonly interim: readonly ResponseMessage[];
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const NO_FIELDS = new Fields([]);
const NO_BODY = Buffer.alloc(0);

function parseField(line: string): Field {
  const colon = line.indexOf(":");
  const name = line.slice(0, colon);
  const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "");
  if (colon < 1 || !TOKEN.test(name) || !FIELD_VALUE.test(value)) {
    throw new Error(`bad header line: ${JSON.stringify(line)}`);
  }
  return [name, value];
}

function parseHead(raw: Buffer): { startLine: string; fields: Fields } {
  const lines = raw.subarray(0, -4).toString("latin1").split("\r\n");
  return { startLine: lines[0]!, fields: new Fields(lines.slice(1).map(parseField)) };
}

/** A request head, without touching the body that may follow. */
export async function readRequestHead(
  wire: Wire,
): Promise<Pick<RequestMessage, "method" | "target" | "version" | "fields">> {
  const { startLine, fields } = parseHead(await wire.readHead());
  const match = /^([A-Z-]+) (\S+) (HTTP\/1\.[01])$/.exec(startLine);
  if (!match) throw new Error(`bad request line: ${JSON.stringify(startLine)}`);
  return { method: match[1]!, target: match[2]!, version: match[3]!, fields };
}

/** A whole request. */
export async function readRequest(wire: Wire): Promise<RequestMessage> {
  const head = await readRequestHead(wire);
  const framing = declaredFraming(head.fields) ?? "none";
  return { ...head, ...(await readBody(wire, head.fields, framing)) };
}

/** A response head, without touching the body that may follow. */
export async function readResponseHead(
  wire: Wire,
): Promise<Pick<ResponseMessage, "status" | "reason" | "version" | "fields">> {
  const { startLine, fields } = parseHead(await wire.readHead());
  const match = /^(HTTP\/1\.[01]) ([1-5]\d\d) ([\t\x20-\x7e\x80-\xff]*)$/.exec(startLine);
  if (!match) throw new Error(`bad status line: ${JSON.stringify(startLine)}`);
  return { version: match[1]!, status: Number(match[2]), reason: match[3]!, fields };
}

/**
 * A whole response, after any 1xx before it. A 101 counts as final and its body is left alone.
 * `method` is that of the request: it decides whether there is a body.
 */
export async function readResponse(wire: Wire, method = "GET"): Promise<ResponseMessage> {
  const interim: ResponseMessage[] = [];
  for (;;) {
    const head = await readResponseHead(wire);
    const bodiless = head.status < 200 || head.status === 204 || head.status === 304 || method === "HEAD";
    const framing = bodiless ? "none" : (declaredFraming(head.fields) ?? "close");
    const message = { ...head, ...(await readBody(wire, head.fields, framing)), interim };
    if (head.status >= 200 || head.status === 101) return message;
    interim.push({ ...message, interim: [] });
  }
}

function declaredFraming(fields: Fields): "length" | "chunked" | undefined {
  const coding = fields.get("transfer-encoding");
  const length = fields.get("content-length");
  if (coding !== undefined && length !== undefined)
    throw new Error("both transfer-encoding and content-length");
  if (coding !== undefined && coding.toLowerCase() !== "chunked")
    throw new Error(`transfer-encoding: ${coding}`);
  if (length !== undefined && !/^\d+$/.test(length)) throw new Error(`content-length: ${length}`);
  if (coding !== undefined) return "chunked";
  return length === undefined ? undefined : "length";
}

async function readBody(
  wire: Wire,
  fields: Fields,
  framing: Framing,
): Promise<Pick<Message, "body" | "framing" | "trailers">> {
  switch (framing) {
    case "none":
      return { framing, body: NO_BODY, trailers: NO_FIELDS };
    case "length":
      return {
        framing,
        body: await wire.readExactly(Number(fields.get("content-length"))),
        trailers: NO_FIELDS,
      };
    case "close":
      return { framing, body: await wire.readToEnd(), trailers: NO_FIELDS };
    case "chunked":
      return { framing, ...(await readChunked(wire)) };
  }
}

async function readChunked(wire: Wire): Promise<{ body: Buffer; trailers: Fields }> {
  const chunks: Buffer[] = [];
  for (;;) {
    const line = (await wire.readLine()).toString("latin1");
    const match = /^([0-9a-fA-F]{1,16})(;.*)?$/.exec(line);
    if (!match) throw new Error(`bad chunk size line: ${JSON.stringify(line)}`);
    const size = Number.parseInt(match[1]!, 16);
    if (size === 0) break;
    chunks.push(await wire.readExactly(size));
    const ending = await wire.readExactly(2);
    if (ending.toString("latin1") !== "\r\n") throw new Error("chunk data without CRLF after it");
  }
  const trailers: Field[] = [];
  for (;;) {
    const line = (await wire.readLine()).toString("latin1");
    if (line === "") return { body: Buffer.concat(chunks), trailers: new Fields(trailers) };
    trailers.push(parseField(line));
  }
}
