/**
 * Which pool a request belongs to, computed from its head alone: the reference that the proxy is compared with. It is written
 * from docs/configuration.md, RFC 3986 and RFC 9112, not from the router of the proxy, and takes its time.
 */
import type { Field } from "./message.js";

/** A route of a configuration file. */
export interface ReferenceRoute {
  readonly match: {
    readonly host?: string;
    readonly path?: string;
    readonly pathRegex?: string;
    readonly method?: readonly string[];
    readonly header?: Readonly<Record<string, string>>;
  };
  readonly pool: string;
}

export interface RequestHead {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly Field[];
}

const valuesOf = (fields: readonly Field[], name: string): string[] =>
  fields.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, value]) => value);

/** Whom a request is for, and its target in origin form: a target in absolute form overrules the Host field. */
export function placeOf({ method, target, fields }: RequestHead): { authority: string; target: string } {
  const absolute = /^https?:\/\/([^/?]*)(.*)$/i.exec(target);
  if (absolute === null) return { authority: valuesOf(fields, "host")[0] ?? "", target };
  const [authority, rest] = [absolute[1]!, absolute[2]!];
  if (rest === "" && method === "OPTIONS") return { authority, target: "*" };
  return { authority, target: rest.startsWith("/") ? rest : `/${rest}` };
}

/** The pool of the first route that matches, if one does. */
export function poolOf(routes: readonly ReferenceRoute[], head: RequestHead): string | undefined {
  const { authority, target } = placeOf(head);
  const host = hostOf(authority);
  const path = normalForm(target.replace(/\?.*$/s, ""));
  const found = routes.find(
    ({ match }) =>
      (match.host === undefined || hostMatches(match.host, host)) &&
      (match.path === undefined || pathMatches(match.path, path)) &&
      (match.pathRegex === undefined || new RegExp(match.pathRegex).test(path)) &&
      (match.method === undefined || match.method.includes(head.method)) &&
      Object.entries(match.header ?? {}).every(([name, pattern]) =>
        valuesOf(head.fields, name).some((value) => textMatches(pattern, value)),
      ),
  );
  return found?.pool;
}

/** Without its port, and without the dot that ends a full name. */
const hostOf = (authority: string): string =>
  authority
    .toLowerCase()
    .replace(/:\d*$/, "")
    .replace(/(.)\.$/, "$1");

const hostMatches = (pattern: string, host: string): boolean =>
  pattern.startsWith("*.")
    ? host.length >= pattern.length && host.endsWith(pattern.slice(1))
    : host === pattern;

const pathMatches = (pattern: string, path: string): boolean =>
  pattern.endsWith("/") ? path.startsWith(pattern) : path === pattern || path.startsWith(`${pattern}/`);

function textMatches(pattern: string, text: string): boolean {
  const literals = pattern.split("*").map((literal) => literal.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${literals.join(".*")}$`, "s").test(text);
}

/** RFC 3986, 6.2.2: what needs no percent-encoding has none, and dot segments are gone. */
function normalForm(path: string): string {
  if (!path.startsWith("/")) return path;
  const decoded = path.replace(/%[\da-f]{2}/gi, (encoded) => {
    const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16));
    return /[\w.~-]/.test(character) ? character : encoded;
  });
  const segments: string[] = [];
  const given = decoded.slice(1).split("/");
  for (const [index, segment] of given.entries()) {
    if (segment === "..") segments.pop();
    if (segment !== ".." && segment !== ".") segments.push(segment);
    else if (index === given.length - 1) segments.push("");
  }
  return `/${segments.join("/")}`;
}
