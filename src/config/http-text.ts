import { METHODS } from "node:http";
import ipaddr from "ipaddr.js";
import { PROXY_FIELDS } from "../dataplane/response-field.js";
import { nearest } from "./nearest.js";
import { InvalidValue } from "./problem.js";
import { show } from "./show.js";

/** The variables that a header value may contain, each written in braces. */
export const templateVariables = [
  "client.address",
  "client.port",
  "request.id",
  "host",
  "backend.address",
] as const;

/** A token of RFC 9110, 5.6.2. Throws InvalidValue. */
export function parseHeaderName(text: string): string {
  if (/^[!#$%&'*+.^_`|~\w-]+$/.test(text)) return text;
  const why = `${show(text)} is not a header name, expected letters, digits and hyphens`;
  throw new InvalidValue("LS_CONFIG_HEADER", why);
}

/** The name of a header that a route may set. Throws InvalidValue. */
export function parseSetHeaderName(text: string): string {
  const name = parseHeaderName(text);
  if (!PROXY_FIELDS.has(name.toLowerCase())) return name;
  throw new InvalidValue(
    "LS_CONFIG_HEADER",
    `"${name}" belongs to the proxy, it can be neither set nor removed`,
  );
}

/** The name of a header that a route may remove; in lower case. Throws InvalidValue. */
export function parseRemoveHeaderName(text: string): string {
  const name = parseSetHeaderName(text).toLowerCase();
  if (name !== "host") return name;
  throw new InvalidValue("LS_CONFIG_HEADER", `every request needs "host": it can be set, but not removed`);
}

/**
 * A header value with variables. Braces around anything that does not look like the name of a variable are plain text.
 * Throws InvalidValue.
 */
export function parseTemplate(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this looks for
  if (/[\0-\x08\x0a-\x1f\x7f]/.test(text)) {
    const why = `${show(text)} cannot be a header value, expected text without control characters`;
    throw new InvalidValue("LS_CONFIG_HEADER", why);
  }
  for (const [variable, name = ""] of text.matchAll(/\{([A-Za-z][\w.-]*)\}/g)) {
    if ((templateVariables as readonly string[]).includes(name)) continue;
    const near = nearest(name, templateVariables);
    const known = templateVariables.map((known) => `{${known}}`).join(", ");
    const hint = near === undefined ? `expected one of ${known}` : `did you mean {${near}}?`;
    throw new InvalidValue("LS_CONFIG_TEMPLATE", `${variable} is not a variable, ${hint}`);
  }
  // Optional whitespace around a value is not part of it (RFC 9110, 5.5).
  return text.trim();
}

/** A method that the HTTP parser knows. Throws InvalidValue. */
export function parseMethod(text: string): string {
  if (METHODS.includes(text)) return text;
  const near = nearest(text, METHODS);
  const hint = near === undefined ? "expected one such as GET or POST" : `did you mean "${near}"?`;
  throw new InvalidValue("LS_CONFIG_VALUE", `${show(text)} is not an HTTP method, ${hint}`);
}

/**
 * What a request's host is compared with: a name, an IP address, or `*.` and a suffix; lower case, without port.
 * Throws InvalidValue.
 */
export function parseHostPattern(text: string): string {
  const expected = "expected a host or *.suffix";
  const fail = (why: string) => new InvalidValue("LS_CONFIG_VALUE", `${show(text)} ${why}, ${expected}`);
  const host = text.toLowerCase().replace(/\.$/, "");
  if (host === "*") throw fail("is not needed, a match without `host` takes every host");
  // Requests are compared as they come, and the shortest spelling is what clients send.
  const literal = /^\[(.*)\]$/.exec(host)?.[1];
  if (literal !== undefined && ipaddr.IPv6.isValid(literal))
    return `[${ipaddr.IPv6.parse(literal).toString()}]`;
  if (/:\d*$/.test(host)) throw fail("has a port, ports are not compared");
  const name = host.startsWith("*.") ? host.slice(2) : host;
  if (name.includes("*")) throw fail("has * in another place than the beginning");
  if (host.length > 255 || !/^[\w-]{1,63}(\.[\w-]{1,63})*$/.test(name)) throw fail("is not a host pattern");
  return host;
}

/**
 * A path that requests are compared with. Requests are compared in normal form (RFC 3986, 6.2.2), so a pattern in another
 * form would never match. Throws InvalidValue.
 */
export function parsePathPattern(text: string): string {
  const expected = "expected a path such as /api/ or /status";
  const fail = (why: string) => new InvalidValue("LS_CONFIG_VALUE", `${show(text)} ${why}, ${expected}`);
  if (!text.startsWith("/")) throw fail("does not begin with /");
  if (text.includes("*"))
    throw fail("has a *: a path that ends in / is a prefix, and pathRegex takes patterns");
  if (/[?#]/.test(text)) throw fail("has a query or fragment, only the path is compared");
  if (!/^[\x21-\x7e]*$/.test(text)) throw fail("has characters that a URL has only percent-encoded");
  const decoded = text.replace(/%([\da-f]{2})/gi, (code, hex: string) => {
    const char = String.fromCharCode(Number.parseInt(hex, 16));
    return /[\w.~-]/.test(char) ? char : code;
  });
  if (decoded !== text) throw fail("encodes characters that need none");
  if (/\/\.{1,2}(\/|$)/.test(text))
    throw fail("has . or .. as a segment, requests are compared without them");
  return text;
}
