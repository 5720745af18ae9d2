/**
 * What a backend may see of a request, computed from the request alone: the reference that the proxy is compared with.
 * It is written from RFC 9110, RFC 9112 and the documented behaviour, not from the parser of the proxy.
 */

import { METHODS } from "node:http";
import { isIPv6 } from "node:net";
import {
  endToEndLines,
  forwardedTrailers,
  framingOf,
  readChunkedText,
  readFields,
  splitHead,
  tokensOf,
  valuesOf,
} from "./hostile-grammar.js";
import type { Field } from "./message.js";

export type RequestVerdict =
  /** Not a request: nothing of it may reach a backend. */
  | { kind: "refused" }
  /** A good head and a body that is not (yet) whole: the head may have gone on, the request must not look complete. */
  | { kind: "partial"; head: string }
  | { kind: "whole"; head: string; chunked: boolean; body: string; trailers: Field[]; rest: string };

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21\x22\x24-\x7e]+) HTTP\/1\.([01])$/;
/** RFC 3986, 3.2.2 and 3.2.3: a name or an IPv6 literal, then perhaps a port. */
const AUTHORITY = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=%]+|\[[\da-fA-F:.]+\])(?::(\d*))?$/;

function isAuthority(text: string): boolean {
  const match = AUTHORITY.exec(text);
  if (match === null || Number(match[1] ?? 0) > 65_535) return false;
  return !text.startsWith("[") || isIPv6(text.slice(1, text.indexOf("]")));
}

/** Reads the first request of a text. The backend's address stands for the host that an HTTP/1.0 client left out. */
export function judgeRequest(text: string, backend = ""): RequestVerdict {
  // Line ends before a request are dropped, as RFC 9112, 2.2 asks; nothing of them goes on.
  const parts = splitHead(text.replace(/^(\r\n)+/, ""));
  const line = REQUEST_LINE.exec(parts?.lines[0] ?? "");
  const fields = parts && readFields(parts.lines.slice(1));
  if (!parts || !line || !fields) return { kind: "refused" };
  const [, method, rawTarget, minor] = line as unknown as [string, string, string, string];
  if (!METHODS.includes(method) || method === "CONNECT") return { kind: "refused" };
  const hosts = valuesOf(fields, "host");
  if (
    hosts.length > 1 ||
    (hosts.length === 0 && minor === "1") ||
    !(hosts[0] === undefined || hosts[0] === "" || isAuthority(hosts[0]))
  ) {
    return { kind: "refused" };
  }
  const framing = framingOf(fields, minor);
  const place = readTarget(method, rawTarget, hosts[0] ?? backend);
  if (!framing || !place) return { kind: "refused" };
  const head = [
    `${method} ${place.target} HTTP/1.1`,
    `host: ${place.authority}`,
    ...endToEndLines(fields.filter(([name]) => name.toLowerCase() !== "host")),
    ...(framing.chunked ? ["transfer-encoding: chunked"] : []),
    ...upgradeLines(fields, minor),
    "\r\n",
  ].join("\r\n");
  if (framing.chunked) {
    const read = readChunkedText(parts.rest);
    if (read.kind !== "whole") return { kind: "partial", head };
    return { ...read, head, chunked: true, trailers: forwardedTrailers(read.trailers) };
  }
  const length = framing.length ?? 0;
  if (parts.rest.length < length) return { kind: "partial", head };
  const body = parts.rest.slice(0, length);
  return { kind: "whole", head, chunked: false, body, trailers: [], rest: parts.rest.slice(length) };
}

function readTarget(method: string, raw: string, host: string) {
  if (raw.startsWith("/")) return { target: raw, authority: host };
  if (raw === "*") return method === "OPTIONS" ? { target: raw, authority: host } : undefined;
  const absolute = /^https?:\/\/([^/?]+)(.*)$/i.exec(raw);
  if (!absolute || !isAuthority(absolute[1]!)) return undefined;
  const rest = absolute[2]!;
  // RFC 9112, 3.2.4: OPTIONS for the server as a whole.
  if (rest === "" && method === "OPTIONS") return { target: "*", authority: absolute[1]! };
  const target = rest.startsWith("/") ? rest : `/${rest}`;
  return { target, authority: absolute[1]! };
}

function upgradeLines(fields: readonly Field[], minor: string): string[] {
  const protocol = valuesOf(fields, "upgrade").at(-1);
  const wanted = minor === "1" && tokensOf(fields, "connection").includes("upgrade");
  if (!wanted || !protocol || tokensOf(fields, "upgrade").includes("h2c")) return [];
  return ["connection: upgrade", `upgrade: ${protocol}`];
}
