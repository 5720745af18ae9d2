import { rm } from "node:fs/promises";
import type { Config, ListenerConfig } from "../config/index.js";
import { formatAddress } from "../config/index.js";
import {
  closeListener,
  duplicateListener,
  type NativeAddress,
  type OpenListener,
  openListeners,
} from "../dataplane/index.js";
import type { ListenerSocket } from "./messages.js";
import { resolveAddress } from "./resolve.js";

/** One listener of the configuration, opened. */
interface Opened {
  readonly config: ListenerConfig;
  readonly wanted: NativeAddress;
  /** Not handed to a worker yet. */
  readonly spare: OpenListener[];
  /** A Unix socket stays open here too: its queue is one, and a worker that is replaced gets another descriptor of it. */
  readonly shared: OpenListener | null;
  readonly address: string;
  readonly port: number;
}

/** The listening sockets of the process, which are opened before any worker runs and handed over one by one. */
export class ListenerSet {
  private constructor(private opened: Opened[]) {}

  /**
   * Opens every listener of a configuration for all its workers.
   * @throws LongspliceError when an address cannot be resolved or bound; then none is left open
   */
  static async open(config: Config): Promise<ListenerSet> {
    const set = new ListenerSet([]);
    try {
      for (const listener of config.listeners) set.opened.push(await openOne(listener, config.workers));
    } catch (error) {
      await set.close();
      throw error;
    }
    return set;
  }

  /** Bound addresses, in the order of the configuration. */
  get addresses(): string[] {
    return this.opened.map(({ address }) => address);
  }

  /** Sockets for one worker; from now on they are that worker's. */
  handOver(): ListenerSocket[] {
    return this.opened.map((each) => {
      const { fd } = each.spare.pop() ?? reopen(each);
      return { fd, name: each.address, proxyFrom: each.config.proxyProtocol };
    });
  }

  /** Closes what no worker has and removes socket files: one that stays behind looks like a listener. */
  async close(): Promise<void> {
    const opened = this.opened;
    this.opened = [];
    for (const { config, spare, shared } of opened) {
      spare.forEach(closeListener);
      if (shared !== null) closeListener(shared);
      if (config.address.kind === "unix") await rm(config.address.path, { force: true });
    }
  }
}

async function openOne(config: ListenerConfig, workers: number): Promise<Opened> {
  const wanted = await resolveAddress(config.address);
  const unix = config.address.kind === "unix";
  const spare = openListeners(wanted, formatAddress(config.address), unix ? workers + 1 : workers);
  const shared = unix ? (spare.pop() ?? null) : null;
  const [first] = spare as [OpenListener];
  return { config, wanted, spare, shared, address: first.address, port: first.port };
}

/** A socket for a worker that takes the place of another one. */
function reopen({ config, wanted, shared, port }: Opened): OpenListener {
  if (shared !== null) return duplicateListener(shared);
  const [listener] = openListeners({ ...wanted, port }, formatAddress(config.address), 1);
  return listener as OpenListener;
}
