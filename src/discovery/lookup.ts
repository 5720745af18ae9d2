import { lookup, Resolver } from "node:dns/promises";

/** Addresses of a name. */
export interface Addresses {
  readonly hosts: readonly string[];
  /** How long the answer holds, in seconds; undefined where nobody says. */
  readonly ttl: number | undefined;
}

/** A record of type SRV (RFC 2782). */
export interface ServiceRecord {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** Who is asked for names. Rejects with an error whose `code` says why there is no answer; answers are not empty. */
export interface Lookup {
  addresses(name: string): Promise<Addresses>;
  services(name: string): Promise<readonly ServiceRecord[]>;
  /** Breaks off what is under way, and begins nothing any more. */
  close(): void;
}

/** Two attempts at each server; then the next look-up is due anyway. */
const LIMITS = { timeout: 2000, tries: 2 };

/** What servers say where a name has no record of a kind. */
const ABSENT = new Set(["ENODATA", "ENOTFOUND"]);
/**
 * When the system may know more than its servers do: the last is a machine that has none. A server that does not answer is no
 * reason: the system would wait for the same one, longer, and nothing could break that off.
 */
const ASK_SYSTEM = new Set([...ABSENT, "ECONNREFUSED"]);

/**
 * Asks DNS servers (`address:port`); without any those of the system, and then what else the system knows names by, such as
 * /etc/hosts and search domains. IPv6 addresses count only where there are no IPv4 addresses: most often both are one machine.
 */
export function createLookup(servers: readonly string[]): Lookup {
  const resolver = new Resolver(LIMITS);
  if (servers.length > 0) resolver.setServers(servers);
  const closing = new AbortController();
  const { signal } = closing;
  return {
    async addresses(name) {
      try {
        return await ask(resolver, name, signal);
      } catch (error) {
        const { code = "" } = error as NodeJS.ErrnoException;
        if (servers.length > 0 || !ASK_SYSTEM.has(code) || signal.aborted) throw error;
        return await askSystem(name).catch(() => Promise.reject(error));
      }
    },
    async services(name) {
      signal.throwIfAborted();
      return await resolver.resolveSrv(name);
    },
    close() {
      closing.abort();
      resolver.cancel();
    },
  };
}

async function ask(resolver: Resolver, name: string, signal: AbortSignal): Promise<Addresses> {
  signal.throwIfAborted();
  const v4 = await resolver.resolve4(name, { ttl: true }).catch((error: NodeJS.ErrnoException) => {
    if (ABSENT.has(error.code ?? "")) return [];
    throw error;
  });
  signal.throwIfAborted();
  const records = v4.length > 0 ? v4 : await resolver.resolve6(name, { ttl: true });
  return {
    hosts: records.map(({ address }) => address),
    ttl: Math.min(...records.map(({ ttl }) => ttl)),
  };
}

async function askSystem(name: string): Promise<Addresses> {
  const all = await lookup(name, { all: true });
  const v4 = all.filter(({ family }) => family === 4);
  return { hosts: (v4.length > 0 ? v4 : all).map(({ address }) => address), ttl: undefined };
}
