import {
  type BackendConfig,
  type Config,
  type DiscoverConfig,
  formatAddress,
  type PoolConfig,
} from "../config/index.js";
import type { DiscoveryCount, Logger } from "../observe/index.js";
import { createLookup, type Lookup } from "./lookup.js";
import { nameOf, readerOf } from "./sources.js";
import { Watcher } from "./watcher.js";

/** What discovery needs of the server. */
export interface DiscoveryOptions {
  readonly logger: Pick<Logger, "warn" | "info">;
  /** Throws if these pools of a configuration cannot have the backends that they would have now. */
  readonly admit: (config: Config, pools: readonly PoolConfig[]) => void;
  /** A source has other backends than before. */
  readonly onChange: () => void;
  /** Who is asked for names, by the configured servers; tests have one of their own. */
  readonly lookup?: (servers: readonly string[]) => Lookup;
  readonly random?: () => number;
}

/** A start does not wait longer for sources that do not answer. */
const FIRST_MS = 5000;

/** A source that is watched, and who is asked for its names. */
interface Watched {
  readonly name: string;
  readonly watcher: Watcher;
  readonly lookup: Lookup;
}

/** What a source says, by its key. */
type Said = (key: string) => readonly BackendConfig[];

/** The sources of backends of a configuration. A source that several pools name, or the next configuration too, is one. */
export class Discovery {
  private readonly watched = new Map<string, Watched>();
  /** What sources say has to suit this one. */
  private config: Config | undefined;
  /** Ends the waiting for first answers. */
  private stopWaiting: () => void = () => {};
  private closed = false;

  constructor(private readonly options: DiscoveryOptions) {}

  /** Begins to watch the sources of a configuration that are not watched yet, and waits a while for what they say first. */
  async prepare(config: Config): Promise<void> {
    if (this.closed) return;
    this.config = config;
    const fresh: Watcher[] = [];
    for (const source of sourcesOf(config)) {
      const key = keyOf(source, config);
      if (this.watched.has(key)) continue;
      const watched = this.watch(source, key, config.resolver);
      fresh.push(watched.watcher);
      this.watched.set(key, watched);
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FIRST_MS);
      this.stopWaiting = resolve;
    });
    await Promise.race([Promise.all(fresh.map(({ first }) => first)), late]);
    clearTimeout(timer);
  }

  /** Forgets all sources but those of this configuration. */
  retain(config: Config): void {
    this.config = config;
    const wanted = new Set(sourcesOf(config).map((source) => keyOf(source, config)));
    for (const key of this.watched.keys()) if (!wanted.has(key)) this.forget(key);
  }

  /** The configuration with the backends that its sources name now. Of two with one address the first counts. */
  complete(config: Config): Config {
    return completed(config, (key) => this.known(key));
  }

  /** What was looked up since the start, of the sources that are watched. */
  counts(): DiscoveryCount[] {
    return [...this.watched.values()].flatMap(({ name, watcher }) =>
      Object.entries(watcher.counts).map(([result, count]) => ({ source: name, result, count })),
    );
  }

  /** Asks no more, and lets nobody wait for answers. */
  close(): void {
    this.closed = true;
    this.stopWaiting();
    for (const key of this.watched.keys()) this.forget(key);
  }

  private known(key: string): readonly BackendConfig[] {
    return this.watched.get(key)?.watcher.backends ?? [];
  }

  /** Tries what a source says now with all pools that name it, before it takes the place of what it said before. */
  private admit(key: string, backends: readonly BackendConfig[]): void {
    const { config } = this;
    if (config === undefined) return;
    const next = completed(config, (each) => (each === key ? backends : this.known(each)));
    const names = (source: DiscoverConfig) => keyOf(source, config) === key;
    const pools = [...next.pools.values()].filter(({ discover }) => discover.some(names));
    this.options.admit(next, pools);
  }

  private forget(key: string): void {
    const watched = this.watched.get(key);
    this.watched.delete(key);
    watched?.watcher.close();
    watched?.lookup.close();
  }

  private watch(source: DiscoverConfig, key: string, servers: readonly string[]): Watched {
    const { logger, onChange, random = Math.random } = this.options;
    const { interval } = source;
    const name = nameOf(source);
    // The same source with another interval or label: what is known of it counts until it answers.
    const known = [...this.watched.values()].find((each) => each.name === name)?.watcher.backends ?? [];
    const lookup = (this.options.lookup ?? createLookup)(servers);
    const admit = (backends: readonly BackendConfig[]) => this.admit(key, backends);
    const options = { name, interval, logger, admit, onChange, random };
    return { name, watcher: new Watcher(readerOf(source, lookup), options, known), lookup };
  }
}

function sourcesOf(config: Config): DiscoverConfig[] {
  return [...config.pools.values()].flatMap(({ discover }) => discover);
}

/** The same for sources that say the same. */
function keyOf(source: DiscoverConfig, { resolver }: Config): string {
  return JSON.stringify([source, resolver]);
}

function completed(config: Config, said: Said): Config {
  const pools = [...config.pools].map(([name, pool]): [string, PoolConfig] => {
    if (pool.discover.length === 0) return [name, pool];
    const found = pool.discover.flatMap((source) => said(keyOf(source, config)));
    return [name, { ...pool, backends: withoutDoubles([...pool.backends, ...found]) }];
  });
  return { ...config, pools: new Map(pools) };
}

function withoutDoubles(backends: readonly BackendConfig[]): BackendConfig[] {
  const byAddress = new Map<string, BackendConfig>();
  for (const backend of backends) {
    const address = formatAddress(backend.address);
    if (!byAddress.has(address)) byAddress.set(address, backend);
  }
  return [...byAddress.values()];
}
