import { isIP } from "node:net";
import { parseAddress } from "./address.js";
import { InvalidValue } from "./problem.js";
import { show } from "./show.js";

/**
 * Reads `name:port`, the addresses of which are backends; comes back in lower case.
 *
 * @throws InvalidValue LS_CONFIG_ADDRESS
 */
export function parseDnsName(text: string): string {
  const address = parseAddress(text, "");
  if (address.kind === "tcp" && address.host !== "" && isIP(address.host) === 0 && address.port > 0) {
    return `${address.host}:${address.port}`;
  }
  const expected = "expected name:port; an address that does not change belongs to backends";
  throw new InvalidValue("LS_CONFIG_ADDRESS", `${show(text)} is not a name with a port, ${expected}`);
}

/**
 * Reads the name of SRV records, such as `_http._tcp.example.com`; comes back in lower case.
 *
 * @throws InvalidValue LS_CONFIG_VALUE
 */
export function parseServiceName(text: string): string {
  if (text.length <= 253 && /^[\w-]{1,63}(\.[\w-]{1,63})+$/.test(text)) return text.toLowerCase();
  const expected = "expected for example _http._tcp.example.com; the port is in the records";
  throw new InvalidValue("LS_CONFIG_VALUE", `${show(text)} is not the name of SRV records, ${expected}`);
}

/**
 * Reads the address of a DNS server, an IP address with or without a port; comes back with it.
 *
 * @throws InvalidValue LS_CONFIG_ADDRESS
 */
export function parseNameServer(text: string): string {
  if (isIP(text) === 4) return `${text}:53`;
  if (isIP(text) === 6) return `[${text}]:53`;
  const address = /^.+:\d+$/.test(text) ? parseAddress(text, "") : undefined;
  if (address?.kind === "tcp" && isIP(address.host) !== 0 && address.port > 0) return text;
  const expected = "expected an IP address, with or without a port";
  throw new InvalidValue(
    "LS_CONFIG_ADDRESS",
    `${show(text)} is not the address of a DNS server, ${expected}`,
  );
}
