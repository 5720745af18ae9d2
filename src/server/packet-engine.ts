import type { Config } from "../config/index.js";
import {
  closePacketEngine,
  openPacketEngine,
  type PacketInterfaces,
  packetCounters,
  packetLastWords,
  refreshPacketEngine,
} from "../dataplane/index.js";
import { LongspliceError } from "../errors/index.js";
import type { Log } from "../observe/index.js";

/**
 * How long the programs stay behind the last socket at most, because without them what the kernel says for it has numbers
 * that nobody expects. A FIN that is lost is repeated after 200, 600 and 1,400 ms; a backend that never gets one keeps its
 * connection open. If all were acknowledged, the other ends' own FIN may be on their way.
 */
const UNACKNOWLEDGED_MS = 2000;
const UNANSWERED_MS = 250;
const ASK_AGAIN_MS = 20;

/** How long a new interface may go unnoticed. */
const REFRESH_MS = 1000;

/** The addon's part of it; tests put something else in its place. */
export interface PacketEngineCalls {
  readonly open: typeof openPacketEngine;
  readonly refresh: typeof refreshPacketEngine;
  readonly counters: typeof packetCounters;
  readonly lastWords: typeof packetLastWords;
  readonly close: typeof closePacketEngine;
}

const addon: PacketEngineCalls = {
  open: openPacketEngine,
  refresh: refreshPacketEngine,
  counters: packetCounters,
  lastWords: packetLastWords,
  close: closePacketEngine,
};

/** The packet engine of the process, and the log's knowledge of where it is attached. */
export class PacketEngine {
  private readonly timer: NodeJS.Timeout;
  private isOpen = true;

  private constructor(
    private known: PacketInterfaces,
    private readonly logger: Log["logger"],
    private readonly calls: PacketEngineCalls,
  ) {
    this.timer = setInterval(() => this.refresh(), REFRESH_MS).unref();
  }

  /**
   * Loads and attaches it for all workers, if the configuration asks for it, or leaves it to what there is. A text says why
   * there is none.
   * @throws LongspliceError LS_ENGINE_UNAVAILABLE where it is asked for
   */
  static open(
    config: Pick<Config, "engine" | "interfaces" | "workers">,
    logger: Log["logger"],
    calls: PacketEngineCalls = addon,
  ): PacketEngine | string {
    const { engine, interfaces, workers } = config;
    if (engine !== "packet" && engine !== "auto") return `engine: ${engine} is configured`;
    try {
      const loaded = calls.open({ interfaces, workers });
      logger.info({ hooks: loaded.hooks, interfaces: loaded.interfaces }, "packet engine attached");
      return new PacketEngine({ interfaces: loaded.interfaces, error: "" }, logger, calls);
    } catch (error) {
      if (engine === "packet" || !(error instanceof LongspliceError)) throw error;
      logger.info({ reason: error.message, remedy: error.remedy }, "everything is copied: no packet engine");
      return error.message;
    }
  }

  /** What became of packets, by event; nothing once it is closed. */
  counters(): Readonly<Record<string, number>> {
    return this.isOpen ? this.calls.counters() : {};
  }

  /** Detaches and unloads, when the sockets that were parked have said their last words. May be called again. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    if (!this.isOpen) return;
    for (let waited = 0; waited < this.patience(); waited += ASK_AGAIN_MS)
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    if (!this.isOpen) return;
    this.isOpen = false;
    this.calls.close();
  }

  private patience(): number {
    if (!this.isOpen) return 0;
    const words = this.calls.lastWords();
    if (words === null) return UNANSWERED_MS;
    if (words.unacknowledged > 0) return UNACKNOWLEDGED_MS;
    return words.unanswered > 0 ? UNANSWERED_MS : 0;
  }

  private refresh(): void {
    const { logger, known } = this;
    const now = this.calls.refresh();
    this.known = now;
    const { interfaces, error } = now;
    if (interfaces.join() !== known.interfaces.join()) {
      logger.info({ interfaces }, "packet engine attached to other interfaces");
    }
    if (error !== "" && error !== known.error) {
      logger.warn({ error }, "packet engine not attached everywhere: connections there are copied");
    }
  }
}
