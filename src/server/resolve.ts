import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { BackendAddress } from "../config/index.js";
import { formatAddress } from "../config/index.js";
import type { NativeAddress } from "../dataplane/index.js";
import { LongspliceError } from "../errors/index.js";

/**
 * Turns an address of the configuration into one that a socket call takes: names are looked up, once, by the system's
 * resolver (so /etc/hosts counts), and the first answer is taken.
 * @throws LongspliceError LS_ADDRESS_UNRESOLVED
 */
export async function resolveAddress(address: BackendAddress): Promise<NativeAddress> {
  if (address.kind === "original-destination") return { host: "", port: 0, path: "" };
  if (address.kind === "unix") return { host: "", port: 0, path: address.path };
  if (isIP(address.host) !== 0) return { host: address.host, port: address.port, path: "" };
  try {
    const found = await lookup(address.host);
    return { host: found.address, port: address.port, path: "" };
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
    throw new LongspliceError("LS_ADDRESS_UNRESOLVED", `${formatAddress(address)}: ${code}`, { cause });
  }
}
