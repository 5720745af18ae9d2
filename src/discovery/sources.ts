import { readFile } from "node:fs/promises";
import { type BackendConfig, type DiscoverConfig, formatAddress, parseMembers } from "../config/index.js";
import { LongspliceError } from "../errors/index.js";
import type { Addresses, Lookup } from "./lookup.js";

/** What a source says now. */
export interface Reading {
  readonly backends: readonly BackendConfig[];
  /** How long that holds, in seconds; undefined where nobody says. */
  readonly ttl: number | undefined;
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
  let known = new Map<string, Addresses>();
  return async () => {
    const records = await lookup.services(srv).catch((cause) => fail(srv, cause));
    const answers = new Map<string, Addresses>();
    for (const { name } of records) {
      if (answers.has(name)) continue;
      answers.set(name, await lookup.addresses(name).catch((cause) => known.get(name) ?? fail(name, cause)));
    }
    known = answers;
    const tiers = [...new Set(records.map(({ priority }) => priority))].sort((a, b) => a - b);
    const backends = records.flatMap(({ name, port, priority, weight }) => {
      const tier = tiers.indexOf(priority);
      const marked = { ...labels, priority: String(tier) };
      const hosts = answers.get(name)?.hosts ?? [];
      return hosts.map((host) =>
        backendAt(host, port, tier === 0 ? Math.max(LEAST_WEIGHT, weight) : 0, marked),
      );
    });
    return { backends: sorted(backends), ttl: undefined };
  };
}

/** Reading it all is as cheap as asking whether it has changed, and no file system can tell it wrong. */
function fileReader(file: string, source: DiscoverConfig): Read {
  return async () => {
    const text = await readFile(file, "utf8").catch((cause: NodeJS.ErrnoException) => {
      throw new LongspliceError("LS_DISCOVERY_FILE", `${file}: ${cause.code ?? cause.message}`, { cause });
    });
    return { backends: parseMembers(file, text, source), ttl: undefined };
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
