/** What an HTTP/1.1 client may see of a backend's response to a POST, computed from the response alone. */
import {
  endToEndLines,
  forwardedTrailers,
  framingOf,
  readChunkedText,
  readFields,
  splitHead,
} from "./hostile-grammar.js";
import type { Field } from "./message.js";

export type ResponseVerdict =
  /** Not a response: the client gets the proxy's own 502. */
  | { kind: "refused"; interim: string }
  /** A good head and a body that is not whole: the client sees that it is not. */
  | { kind: "partial"; interim: string; head: string }
  | {
      kind: "whole";
      /** The heads of the 1xx responses before the final one. */
      interim: string;
      head: string;
      chunked: boolean;
      body: string;
      trailers: Field[];
    };

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;

/** Reads the response in what a backend sent before it closed the connection cleanly. */
export function judgeResponse(text: string): ResponseVerdict {
  let interim = "";
  let left = text;
  for (;;) {
    const parts = splitHead(left);
    const line = STATUS_LINE.exec(parts?.lines[0] ?? "");
    const fields = parts && readFields(parts.lines.slice(1));
    if (!parts || !line || !fields) return { kind: "refused", interim };
    const [minor, status, reason] = [line[1]!, Number(line[2]), line[3] ?? ""];
    const framing = framingOf(fields, minor);
    // 101 answers an Upgrade, which nobody sent.
    if (!framing || status === 101) return { kind: "refused", interim };
    // RFC 9112, 4: the space stands there also when no reason follows.
    const startLine = `HTTP/1.1 ${status} ${reason}`;
    if (status < 200) {
      const lines = endToEndLines(fields.filter(([name]) => name.toLowerCase() !== "content-length"));
      interim += [startLine, ...lines, "\r\n"].join("\r\n");
      left = parts.rest;
      continue;
    }
    return { interim, ...judgeFinal(startLine, status, fields, framing, parts.rest) };
  }
}

function judgeFinal(
  startLine: string,
  status: number,
  fields: readonly Field[],
  framing: { chunked: boolean; length: number | undefined },
  rest: string,
) {
  const bodiless = status === 204 || status === 304;
  const forwarded =
    status === 204 ? fields.filter(([name]) => name.toLowerCase() !== "content-length") : fields;
  const chunked = !bodiless && framing.length === undefined;
  const coding = chunked ? ["transfer-encoding: chunked"] : [];
  const head = [startLine, ...endToEndLines(forwarded), ...coding, "\r\n"].join("\r\n");
  const whole = { kind: "whole" as const, head, chunked, body: "", trailers: [] };
  if (bodiless) return whole;
  if (framing.chunked) {
    const read = readChunkedText(rest);
    if (read.kind !== "whole") return { kind: "partial" as const, head };
    return { ...whole, body: read.body, trailers: forwardedTrailers(read.trailers) };
  }
  if (framing.length === undefined) return { ...whole, body: rest };
  if (rest.length < framing.length) return { kind: "partial" as const, head };
  return { ...whole, body: rest.slice(0, framing.length) };
}
