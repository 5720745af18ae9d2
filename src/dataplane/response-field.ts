import { validateHeaderName, validateHeaderValue } from "node:http";

/** Fields that describe one connection or the framing of one message: the proxy writes them itself. */
export const PROXY_FIELDS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * A field line for a response, without its end.
 *
 * @throws TypeError when the name is not a field name or belongs to the proxy, or the value holds what no field may
 */
export function responseField(name: string, value: string): string {
  validateHeaderName(name);
  validateHeaderValue(name, value);
  if (PROXY_FIELDS.has(name.toLowerCase())) throw new TypeError(`${name} is the proxy's own`);
  return `${name}: ${value}`;
}
