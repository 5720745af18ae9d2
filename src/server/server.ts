import type { Config } from "../config/index.js";
import {
  type Carrier,
  closeSockmapEngine,
  limitConnections,
  openSockmapEngine,
  requirePipeEngine,
  type WorkerEngine,
} from "../dataplane/index.js";
import { type Admin, type AdminSource, createAdmin, type Log, type ServiceState } from "../observe/index.js";
import { LoadTable, Pools } from "../pools/index.js";
import { planCarriers } from "./carriers.js";
import { ListenerSet } from "./listener-set.js";
import type { WorkerPlan } from "./messages.js";
import { Names } from "./names.js";
import { PacketEngine } from "./packet-engine.js";
import { planWorkers, type ResolvedBackends, resolveBackends } from "./plan.js";
import { SharedMemory } from "./shared-memory.js";
import { version } from "./version.js";
import { WorkerPool } from "./worker-pool.js";

/** Where a configuration came from; null when the command line alone is the configuration. */
export interface ServerOptions {
  readonly configFile: string | null;
  readonly log: Log;
  /** The process cannot go on as it is. */
  readonly onFatal: (error: unknown) => void;
}

/** A running proxy: the one place where its parts are made and joined. */
export class Server {
  private readonly table = new LoadTable();
  private readonly names = new Names();
  private readonly memory = new SharedMemory();
  private readonly pools: Pools;
  private readonly workers: WorkerPool;
  /** As at the start: a reload does not change it. */
  private readonly engine: Config["engine"];
  private packet: PacketEngine | null = null;
  /** Why there is none. */
  private packetObstacle: string | undefined;
  private admin: Admin | null = null;
  private listeners: ListenerSet | null = null;
  private addresses: string[] = [];
  private state: ServiceState = "starting";
  private generation = 1;
  private resolved: ResolvedBackends = new Map();
  private loadedAt = new Date();

  private constructor(
    private config: Config,
    private readonly options: ServerOptions,
  ) {
    this.engine = config.engine;
    const { logger } = options.log;
    this.pools = new Pools(this.table, [], {
      onHealth: (event) => logger.info({ ...event }, "backend health changed"),
    });
    this.workers = new WorkerPool({
      load: this.table.buffer,
      engine: () => this.workerEngine(),
      pipeFrom: config.pipeFrom,
      sockmapFrom: config.sockmapFrom,
      sockmapTo: config.sockmapTo,
      log: options.log,
      names: this.names,
      handOver: () => this.listeners?.handOver() ?? [],
      onFatal: options.onFatal,
    });
  }

  /**
   * Starts a proxy. When the promise fulfils, every listener accepts and the ready line is written.
   * @throws LongspliceError when an address cannot be bound or resolved or a worker cannot start; nothing is left then
   */
  static async start(config: Config, options: ServerOptions): Promise<Server> {
    const server = new Server(config, options);
    try {
      await server.start();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  private async start(): Promise<void> {
    const { config } = this;
    const resolved = await resolveBackends(config);
    this.pools.apply(config.pools.values());
    this.resolved = resolved;
    const packet = PacketEngine.open(config, this.options.log.logger);
    if (typeof packet === "string") this.packetObstacle = packet;
    else this.packet = packet;
    if (config.engine === "pipe") requirePipeEngine();
    if (config.engine === "sockmap") openSockmapEngine();
    const plan = this.planFor(config, this.generation, resolved);
    this.listeners = await ListenerSet.open(config);
    this.addresses = this.listeners.addresses;
    await this.workers.start(plan, config.workers);
    if (config.admin !== null) {
      const { address, token } = config.admin;
      const { logger } = this.options.log;
      this.admin = await createAdmin(
        { address, log: logger, ...(token === undefined ? {} : { token }) },
        this.adminSource(),
      );
    }
    this.capConnections();
    this.state = "ready";
    this.options.log.ready(this.addresses, this.admin?.address ?? null);
  }

  private planFor(config: Config, generation: number, resolved: ResolvedBackends): WorkerPlan {
    const carriers = this.carriers(config);
    const { pools, names } = this;
    const memory = this.memory.plan();
    return planWorkers({ config, carriers, generation, pools, names, resolved, memory });
  }

  /** A reload does not change the engine. */
  private carriers(config: Config): Carrier[] {
    return planCarriers({ ...config, engine: this.engine }, this.packetObstacle);
  }

  private workerEngine(): WorkerEngine {
    if (this.engine === "pipe" || this.engine === "sockmap") return this.engine;
    return this.packet === null ? "copy" : "packet";
  }

  private capConnections(): void {
    const cap = limitConnections();
    const { connections } = this.config.limits;
    if (connections <= cap) return;
    this.options.log.logger.warn(
      { cap, connections },
      "limits.connections is more than the descriptors allow",
    );
  }

  /**
   * Takes over routes, pools, timeouts, limits and the access log of another configuration. Exchanges under way end
   * under the old one.
   * @throws LongspliceError when a worker cannot follow or a name cannot be resolved; the old configuration stays
   */
  async reload(config: Config): Promise<void> {
    const before = this.config;
    const generation = this.generation + 1;
    const resolved = await resolveBackends(config);
    this.generation = generation;
    this.pools.apply(config.pools.values());
    try {
      await this.workers.apply(this.planFor(config, generation, resolved));
    } catch (error) {
      // Workers that followed go back; their policies start anew, the backends are as they were.
      this.pools.apply(before.pools.values());
      await this.workers.apply(this.planFor(before, generation, this.resolved));
      throw error;
    }
    this.config = config;
    this.resolved = resolved;
    this.loadedAt = new Date();
    const { logger } = this.options.log;
    const ignored = needsRestart(before, config);
    if (ignored.length > 0)
      logger.warn({ keys: ignored }, "these changes take effect at the next start only");
    logger.info({ generation }, "configuration reloaded");
  }

  /** Stops accepting and ends when every connection has, at the latest after `timeouts.drain`. */
  async drain(): Promise<void> {
    this.state = "draining";
    const { logger } = this.options.log;
    logger.info({ limit_ms: this.config.timeouts.drain }, "draining");
    await this.listeners?.close();
    const whole = await this.workers.drain(this.config.timeouts.drain);
    if (!whole) logger.warn("drain timeout: the connections that are left are cut");
    await this.close();
  }

  /** Ends everything. */
  async close(): Promise<void> {
    this.state = "draining";
    await this.workers.stop();
    await this.packet?.close();
    if (this.engine === "sockmap") closeSockmapEngine();
    await this.listeners?.close();
    await this.admin?.close();
    this.pools.close();
  }

  private adminSource(): AdminSource {
    return {
      snapshot: () => this.workers.snapshots(),
      backends: () => this.pools.backends(),
      logDropped: () => this.options.log.dropped(),
      packetCounters: () => this.packet?.counters() ?? {},
      changeBackend: (pool, address, action) => this.pools[action](pool, address),
      info: () => ({
        version,
        state: this.state === "ready" && this.workers.alive < this.config.workers ? "degraded" : this.state,
        config: { file: this.options.configFile, generation: this.generation, loadedAt: this.loadedAt },
        workers: { configured: this.config.workers, alive: this.workers.alive },
        listeners: this.addresses,
        routes: this.carriers(this.config).map(({ forward, engine }, index) => {
          const { label, pool } = this.config.routes[index] as Config["routes"][number];
          return { label, pool, forward, engine };
        }),
        pools: [...this.config.pools.values()].map(({ name, policy }) => ({
          name,
          policy: policy.map((each) => each.name),
        })),
      }),
    };
  }
}

/** The keys that a reload cannot change. */
function needsRestart(before: Config, after: Config): string[] {
  const sizes = ["pipeFrom", "sockmapFrom", "sockmapTo"] as const;
  const keys = ["listeners", "admin", "workers", "engine", ...sizes, "interfaces", "logLevel"] as const;
  return keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
}
