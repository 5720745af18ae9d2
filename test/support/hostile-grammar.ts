/**
 * What the two kinds of message have in common, for the reference models: RFC 9112's grammar read with regular
 * expressions from the whole text. Text stands for bytes one to one (latin1).
 */
import type { Field } from "./message.js";

const FIELD_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;
/** A tab behind these values is a blank to some readers and a part of the value to others: refusing it is safe. */
const DOUBTFUL_FRAMING = /^(?:content-length|transfer-encoding):.*\t *$/i;
const HOP_BY_HOP = ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];
/** Behind a body these would say how to forward a message that was forwarded already (RFC 9110, 6.5.1). */
const NOT_IN_TRAILERS = [...HOP_BY_HOP, "expect", "host", "trailer"];
/** A Connection field cannot take these away: without them the message would be another one. */
const NEVER_NOMINATED = ["host", "content-length"];

/** Cuts a text at the empty line that ends a head; undefined when there is none. */
export function splitHead(text: string): { lines: string[]; rest: string } | undefined {
  const end = text.indexOf("\r\n\r\n");
  return end < 0 ? undefined : { lines: text.slice(0, end).split("\r\n"), rest: text.slice(end + 4) };
}

/** The fields of header lines, or undefined when one is none. */
export function readFields(lines: readonly string[]): Field[] | undefined {
  const fields: Field[] = [];
  for (const line of lines) {
    const match = FIELD_LINE.exec(line);
    if (!match || DOUBTFUL_FRAMING.test(line)) return undefined;
    fields.push([match[1]!, match[2]!.replace(/[ \t]+$/, "")]);
  }
  return fields;
}

/** The values of all fields of that name, which is given in lower case. */
export const valuesOf = (fields: readonly Field[], name: string): string[] =>
  fields.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);

/** The elements of all comma-separated lists of that name, in lower case. */
export const tokensOf = (fields: readonly Field[], name: string): string[] =>
  valuesOf(fields, name)
    .flatMap((value) => value.split(","))
    .map((token) => token.replace(/^[ \t]+|[ \t]+$/g, "").toLowerCase())
    .filter((token) => token !== "");

/** What the fields say about the body; undefined when they contradict themselves. */
export function framingOf(
  fields: readonly Field[],
  minor: string,
): { chunked: boolean; length: number | undefined } | undefined {
  const codings = valuesOf(fields, "transfer-encoding");
  const lengths = valuesOf(fields, "content-length");
  if (codings.length + lengths.length > 1) return undefined;
  if (codings.length === 1) {
    return codings[0]!.toLowerCase() === "chunked" && minor === "1"
      ? { chunked: true, length: undefined }
      : undefined;
  }
  if (lengths.length === 0) return { chunked: false, length: undefined };
  if (!/^\d+$/.test(lengths[0]!) || BigInt(lengths[0]!) >= 2n ** 64n) return undefined;
  return { chunked: false, length: Number(lengths[0]) };
}

/** The lines of all fields that go on to the next hop (RFC 9110, 7.6.1), written anew. */
export function endToEndLines(fields: readonly Field[]): string[] {
  const nominated = tokensOf(fields, "connection").filter((token) => !NEVER_NOMINATED.includes(token));
  return fields
    .filter(([name]) => !HOP_BY_HOP.includes(name.toLowerCase()) && !nominated.includes(name.toLowerCase()))
    .map(([name, value]) => `${name}: ${value}`);
}

/** The trailer fields that go on to the next hop. */
export const forwardedTrailers = (trailers: readonly Field[]): Field[] =>
  trailers.filter(([name]) => !NOT_IN_TRAILERS.includes(name.toLowerCase()));

/** A chunked body that is well-formed up to `end`, or how far it is well-formed. */
export type ChunkedBody =
  | { kind: "whole"; body: string; trailers: Field[]; rest: string }
  | { kind: "partial" | "refused"; body: string };

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const QUOTED = '"(?:[\\t\\x20\\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t\\x20-\\x7e\\x80-\\xff])*"';
/**
 * An extension goes no further and cannot be taken for an end of the line, so the proxy may ignore more of them than RFC 9112,
 * 7.1.1 allows: a name may be missing, and a value, or one may follow another.
 */
const EXTENSION = `;(?!\\r)(?:${TOKEN})?(?:=(?:${TOKEN})?(?:${QUOTED})?)?`;
const SIZE_LINE = new RegExp(`^([0-9a-fA-F]+)(?:${EXTENSION})*\\r\\n`);

/** Reads a chunked body (RFC 9112, 7.1, without the blanks that 7.1.1 calls bad). Chunk extensions are dropped. */
export function readChunkedText(text: string): ChunkedBody {
  let body = "";
  let left = text;
  for (;;) {
    const match = SIZE_LINE.exec(left);
    if (!match) return { kind: /\n/.test(left) ? "refused" : "partial", body };
    left = left.slice(match[0].length);
    const size = Number.parseInt(match[1]!, 16);
    if (size > Number.MAX_SAFE_INTEGER) return { kind: "refused", body };
    if (size === 0) break;
    body += left.slice(0, size);
    if (left.length < size) return { kind: "partial", body };
    const ending = left.slice(size, size + 2);
    if (ending !== "\r\n") return { kind: "\r\n".startsWith(ending) ? "partial" : "refused", body };
    left = left.slice(size + 2);
  }
  if (left.startsWith("\r\n")) return { kind: "whole", body, trailers: [], rest: left.slice(2) };
  const section = splitHead(left);
  if (!section) return { kind: "partial", body };
  const trailers = readFields(section.lines);
  // What would frame the message once more is refused wherever it stands.
  const framed = trailers?.some(([name]) => /^(?:content-length|transfer-encoding)$/i.test(name));
  if (!trailers || framed) return { kind: "refused", body };
  return { kind: "whole", body, trailers, rest: section.rest };
}
