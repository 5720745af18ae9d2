import { readFile } from "node:fs/promises";
import { type BackendConfig, type DiscoverConfig, formatAddress, parseMembers } from "../config/index.js";
import { LongspliceError } from "../errors/index.js";
import type { Addresses, Lookup, ServiceRecord } from "./lookup.js";

/** What a source says now. */
export interface Reading {
  readonly backends: readonly BackendConfig[];
  /** How long that holds, in seconds; undefined where nobody says. */
  readonly ttl: number | undefined;
  /** Targets that are left out because nobody knows their addresses, and why. */
  readonly missing?: readonly string[];
}

/** Asks a source. Rejects with LS_DISCOVERY_* when there is no answer to go by. */
export type Read = () => Promise<Reading>;

/** What a source is called in logs and metrics. */
export function nameOf({ dns, srv, file }: DiscoverConfig): string {
  if (dns !== undefined) return `dns ${dns}`;
  return srv === undefined ? `file ${file}` : `srv ${srv}`;
}

/** How a source is asked. */
export function readerOf(source: DiscoverConfig, lookup: Lookup): Read {
  const { dns, srv, file } = source;
  if (dns !== undefined) return dnsReader(dns, source, lookup);
  if (srv !== undefined) return srvReader(srv, source, lookup);
  return fileReader(file as string, source);
}

/** A weight of 0 beside others means next to nothing in SRV records (RFC 2782), here it would mean: in case of need only. */
const LEAST_WEIGHT = 1;

function dnsReader(dns: string, { weight, labels }: DiscoverConfig, lookup: Lookup): Read {
  const colon = dns.lastIndexOf(":");
  const [name, port] = [dns.slice(0, colon), Number(dns.slice(colon + 1))];
  return async () => {
    const { hosts, ttl } = await lookup.addresses(name).catch((cause) => fail(dns, cause));
    return { backends: sorted(hosts.map((host) => backendAt(host, port, weight, labels))), ttl };
  };
}

/**
 * Each address of each target is a backend. The targets of the best priority share the traffic by their weights; the others get
 * weight 0, so that they are used only where none of the best is left. For policies the label `priority` says which tier that is,
 * from 0 for the best.
 */
function srvReader(srv: string, { labels }: DiscoverConfig, lookup: Lookup): Read {
  /** The last answers for the targets: one that cannot be looked up for a moment is not gone. */
  let known: ReadonlyMap<string, Addresses> = new Map();
  return async () => {
    const records = servicesOf(srv, await lookup.services(srv).catch((cause) => fail(srv, cause)));
    const names = new Set(records.map(({ name }) => name));
    const { answers, failures } = await addressesOf(names, known, lookup);
    if (answers.size === 0) throw failures[0];
    known = answers;
    const tiers = [...new Set(records.map(({ priority }) => priority))];
    const backends = records.flatMap(({ name, port, priority, weight }) => {
      const tier = tiers.indexOf(priority);
      const marked = { ...labels, priority: String(tier) };
      const hosts = answers.get(name)?.hosts ?? [];
      return hosts.map((host) =>
        backendAt(host, port, tier === 0 ? Math.max(LEAST_WEIGHT, weight) : 0, marked),
      );
    });
    const missing = failures.map(({ message }) => message).sort();
    return { backends: sorted(backends), ttl: undefined, missing };
  };
}

/** The records that name a target and a port, the best first: of two for one address the first counts. */
function servicesOf(srv: string, records: readonly ServiceRecord[]): ServiceRecord[] {
  // The root of all names, whose text is empty, stands for no target (RFC 2782); nothing listens at port 0.
  const services = records.filter(({ name, port }) => name !== "" && port !== 0);
  if (services.length === 0) {
    throw new LongspliceError("LS_DISCOVERY_LOOKUP", `${srv}: no record names a target and a port`);
  }
  return services.sort((a, b) => a.priority - b.priority || b.weight - a.weight);
}

/** Looks all names up at once. One that fails has the addresses that were known of it, or is a failure. */
async function addressesOf(
  names: Iterable<string>,
  known: ReadonlyMap<string, Addresses>,
  lookup: Lookup,
): Promise<{ answers: Map<string, Addresses>; failures: Error[] }> {
  const answers = new Map<string, Addresses>();
  const failures: Error[] = [];
  const lookups = [...names].map(async (name) => {
    try {
      const answer = lookup.addresses(name);
      answers.set(name, await answer.catch((cause) => known.get(name) ?? fail(name, cause)));
    } catch (error) {
      failures.push(error as Error);
    }
  });
  await Promise.all(lookups);
  return { answers, failures };
}

/** Reading it all is as cheap as asking whether it has changed, and no file system can tell it wrong; only parsing is not. */
function fileReader(file: string, source: DiscoverConfig): Read {
  let last: { text: string; backends: readonly BackendConfig[] } | undefined;
  return async () => {
    const text = await readFile(file, "utf8").catch((cause: NodeJS.ErrnoException) => {
      throw new LongspliceError("LS_DISCOVERY_FILE", `${file}: ${cause.code ?? cause.message}`, { cause });
    });
    if (text !== last?.text) last = { text, backends: parseMembers(file, text, source) };
    return { backends: last.backends, ttl: undefined };
  };
}

function backendAt(
  host: string,
  port: number,
  weight: number,
  labels: BackendConfig["labels"],
): BackendConfig {
  return { address: { kind: "tcp", host, port }, weight, labels };
}

/** DNS servers turn their answers around; that is no change. */
function sorted(backends: readonly BackendConfig[]): BackendConfig[] {
  const keyed = backends.map((backend) => ({ key: formatAddress(backend.address), backend }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ backend }) => backend);
}

function fail(name: string, cause: NodeJS.ErrnoException): never {
  throw new LongspliceError("LS_DISCOVERY_LOOKUP", `${name}: ${cause.code ?? cause.message}`, { cause });
}
