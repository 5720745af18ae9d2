import { resolve } from "node:path";
import ipaddr from "ipaddr.js";
import { type Address, type BackendAddress, formatAddress } from "../pools/index.js";
import { InvalidValue } from "./problem.js";
import { show } from "./show.js";

export { type Address, type BackendAddress, formatAddress } from "../pools/index.js";

/** What `:port` stands for where everybody's address would be unsafe or mean nothing. */
export const LOOPBACK = "127.0.0.1";

/** sun_path of a Unix socket holds 108 bytes, the last one a zero. */
const UNIX_PATH_BYTES = 107;

/**
 * Reads `host:port`, `[v6]:port`, `:port` or `unix:/path`. IP addresses come back in their canonical spelling, names in
 * lower case, so that equal addresses have equal texts.
 *
 * @param anyHost the host that `:port` stands for
 * @throws InvalidValue LS_CONFIG_ADDRESS
 */
export function parseAddress(text: string, anyHost = "0.0.0.0"): Address {
  if (text.startsWith("unix:")) return parseUnix(text, text.slice("unix:".length));
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(text);
  if (match === null) throw invalid(text, whyNoMatch(text));
  const [, bracketed, plain = "", digits = ""] = match;
  const port = parsePort(text, digits);
  if (bracketed !== undefined) return { kind: "tcp", host: parseV6(text, bracketed), port };
  return { kind: "tcp", host: plain === "" ? anyHost : parseHost(text, plain), port };
}

/**
 * Reads the address of a backend; `:port` is on this machine.
 *
 * @throws InvalidValue LS_CONFIG_ADDRESS
 */
export function parseBackendAddress(text: string): BackendAddress {
  if (text === "original-destination") return { kind: text };
  const address = parseAddress(text, LOOPBACK);
  if (address.kind === "unix" || address.port > 0) return address;
  throw new InvalidValue("LS_CONFIG_ADDRESS", `${show(text)}: a backend has a port from 1 to 65535`);
}

/**
 * Reads a range of addresses, `10.0.0.0/8`, or a single one; comes back in canonical spelling.
 *
 * @throws InvalidValue LS_CONFIG_VALUE
 */
export function parseRange(text: string): string {
  const [host = "", prefix, ...more] = text.split("/");
  const valid = ipaddr.IPv4.isValidFourPartDecimal(host) || ipaddr.IPv6.isValid(host);
  const bits = host.includes(":") ? 128 : 32;
  const fits = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
  if (!valid || !fits || more.length > 0 || host.includes("%")) {
    const expected =
      "expected an address with an optional prefix length, for example 10.0.0.0/8 or 2001:db8::/32";
    throw new InvalidValue("LS_CONFIG_VALUE", `${show(text)} is not a range of addresses, ${expected}`);
  }
  return `${ipaddr.parse(host).toString()}/${prefix ?? bits}`;
}

/** The same address with the path of a Unix socket made absolute. */
export function resolveAddress<A extends BackendAddress>(address: A, folder: string): A {
  return address.kind === "unix" ? { ...address, path: resolve(folder, address.path) } : address;
}

/** Whether only programs on this machine can reach the address. Of names only `localhost` is taken to be local. */
export function isLocal(address: Address): boolean {
  if (address.kind === "unix" || address.host === "localhost") return true;
  return ipaddr.isValid(address.host) && ipaddr.process(address.host).range() === "loopback";
}

/** The canonical text of an address, or undefined if it is not one: for comparisons before the check of the schema. */
export function canonicalAddress(text: string, folder: string, anyHost?: string): string | undefined {
  try {
    return formatAddress(resolveAddress(parseAddress(text, anyHost), folder));
  } catch (error) {
    if (error instanceof InvalidValue) return undefined;
    throw error;
  }
}

function parseUnix(text: string, path: string): Address {
  if (path === "") throw invalid(text, "the path is missing");
  // The address of a backend may be the value of a header.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this looks for
  if (/[\0-\x1f\x7f]/.test(path)) throw invalid(text, "the path has control characters");
  if (Buffer.byteLength(path) > UNIX_PATH_BYTES) {
    throw invalid(text, `the path of a Unix socket has at most ${UNIX_PATH_BYTES} bytes`);
  }
  return { kind: "unix", path };
}

function parsePort(text: string, digits: string): number {
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : Number.NaN;
  if (port <= 65535) return port;
  throw invalid(text, digits === "" ? "the port is missing" : "a port is a number from 0 to 65535");
}

function parseV6(text: string, host: string): string {
  if (host.includes("%")) throw invalid(text, "zones (%) are not supported");
  if (ipaddr.IPv6.isValid(host)) return ipaddr.IPv6.parse(host).toString();
  throw invalid(text, "what is in brackets is not an IPv6 address");
}

function parseHost(text: string, host: string): string {
  if (ipaddr.IPv4.isValidFourPartDecimal(host)) return host;
  // Names that end in a number would be read as IPv4 in an old notation by some resolvers.
  if (/(^|\.)(\d+|0x[0-9a-f]*)\.?$/i.test(host)) throw invalid(text, "the IPv4 address is not complete");
  if (host.length <= 253 && /^(?!-)[\w-]{1,63}(\.(?!-)[\w-]{1,63})*$/.test(host)) return host.toLowerCase();
  throw invalid(text, "the host is neither an IP address nor a name");
}

function whyNoMatch(text: string): string {
  if (/^[\da-f]*:[\da-f:.]*:[\da-f.]*$/i.test(text)) return "an IPv6 address goes in brackets";
  if (text.includes("://")) return "there is no scheme in an address";
  return text.includes(":") && !text.endsWith("]") ? "there are too many colons" : "the port is missing";
}

function invalid(text: string, why: string): InvalidValue {
  const expected = "expected host:port, [v6]:port, :port or unix:/path";
  return new InvalidValue("LS_CONFIG_ADDRESS", `${show(text)} is not an address: ${why}; ${expected}`);
}
