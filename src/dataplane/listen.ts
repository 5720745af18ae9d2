import { readdirSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import { LongspliceError } from "../errors/index.js";
import { loadAddon, type NativeAddress } from "./native.js";

/** A listening socket that no worker has yet. */
export interface OpenListener {
  readonly fd: number;
  /** With the real port where 0 was asked for. */
  readonly address: string;
  readonly port: number;
}

/** The kernel cuts it to net.core.somaxconn (4096 since Linux 5.4). */
const BACKLOG = 4096;

/**
 * Opens an address for a number of workers: a socket for each of them. Those of an IP address have a queue of their own
 * (SO_REUSEPORT, and the same port where 0 was asked for); Unix sockets cannot do that, so the workers share one queue.
 * @throws LongspliceError as `openListener` does; then none is left open
 */
export function openListeners(address: NativeAddress, name: string, count: number): OpenListener[] {
  const opened = [openListener(address, name)];
  const [first] = opened as [OpenListener];
  try {
    while (opened.length < count) {
      opened.push(
        address.path === "" ? openListener({ ...address, port: first.port }, name) : duplicateListener(first),
      );
    }
  } catch (error) {
    opened.forEach(closeListener);
    throw error;
  }
  return opened;
}

/**
 * Opens a listening socket.
 * @param name the address as the configuration has it, for errors
 * @throws LongspliceError LS_LISTEN_ADDRESS_IN_USE or LS_LISTEN
 */
function openListener(address: NativeAddress, name: string): OpenListener {
  try {
    return loadAddon().openListener(address, BACKLOG);
  } catch (cause) {
    const number = (cause as { errno?: number }).errno ?? 0;
    const errno = number > 0 ? getSystemErrorName(-number) : "unknown";
    if (cause instanceof LongspliceError) throw cause;
    if (errno === "EADDRINUSE") throw new LongspliceError("LS_LISTEN_ADDRESS_IN_USE", name, { cause });
    throw new LongspliceError("LS_LISTEN", `${name}: ${errno}`, { cause });
  }
}

/** Another descriptor of the same socket, with the same queue. */
export function duplicateListener(listener: OpenListener): OpenListener {
  return { ...listener, fd: loadAddon().duplicateDescriptor(listener.fd) };
}

/** Descriptors that are not for connections: the admin server, health checks, name look-ups, reloads. */
const RESERVED_FILES = 32;

/**
 * Raises the limit of descriptors as far as this process may, and holds the connections of clients and backends within
 * it. To be called when everything else is open.
 * @returns how many clients there may be when each has a request under way; more are let in while others are idle
 */
export function limitConnections(): number {
  const files = loadAddon().raiseFileLimit();
  const open = readdirSync("/proc/self/fd").length;
  const sockets = Math.max(2, files - open - RESERVED_FILES);
  loadAddon().setSocketLimit(sockets);
  return Math.floor(sockets / 2);
}

/** Closes a socket that no worker took over. */
export function closeListener(listener: OpenListener): void {
  loadAddon().closeDescriptor(listener.fd);
}
