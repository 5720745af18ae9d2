import { isDeepStrictEqual } from "node:util";
import { type Config, formatAddress, type PoolConfig } from "../config/index.js";
import {
  type Carrier,
  closeSockmapEngine,
  limitConnections,
  openSockmapEngine,
  requirePipeEngine,
  type WorkerEngine,
} from "../dataplane/index.js";
import { Discovery } from "../discovery/index.js";
import { LongspliceError } from "../errors/index.js";
import {
  type Admin,
  type AdminSource,
  type BackendState,
  createAdmin,
  type Log,
  type Logger,
  type ServiceState,
} from "../observe/index.js";
import { PolicyRegistry } from "../policy/registry.js";
import {
  type BackendStatus,
  type LoadEvent,
  LoadMonitor,
  LoadReports,
  LoadTable,
  Pools,
} from "../pools/index.js";
import { planCarriers } from "./carriers.js";
import { ListenerSet } from "./listener-set.js";
import type { WorkerPlan } from "./messages.js";
import { Names } from "./names.js";
import { PacketEngine } from "./packet-engine.js";
import { planWorkers, type ResolvedBackends, resolveBackends, retriesKey } from "./plan.js";
import { registryForTrials, requirePolicies } from "./policy-trial.js";
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

/** A change of backends that failed is tried again after so long: sources tell their news only once. */
const RETRY_MS = 5000;

/** What is in effect. */
interface Serving {
  /** As it was loaded. */
  readonly config: Config;
  /** With the backends that were discovered. */
  readonly complete: Config;
  readonly resolved: ResolvedBackends;
  /** How often a configuration was loaded until this one, itself included. */
  readonly load: number;
}

/** A running proxy: the one place where its parts are made and joined. */
export class Server {
  private readonly table = new LoadTable();
  private readonly names = new Names();
  private readonly memory = new SharedMemory();
  private readonly pools: Pools;
  private readonly reports: LoadReports;
  private readonly monitor: LoadMonitor;
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
  private readonly discovery: Discovery;
  /** What sources say is tried with these policies. */
  private policies = new PolicyRegistry();
  private serving: Serving;
  /** Of plans. */
  private generation = 0;
  /** Changes of what is in effect happen one after the other. */
  private changing: Promise<unknown> = Promise.resolve();
  private newsOfBackends = false;
  /** Until a change of backends that failed is tried again. */
  private retry: NodeJS.Timeout | undefined;
  private closed = false;
  private loadedAt = new Date();

  private constructor(
    config: Config,
    private readonly options: ServerOptions,
  ) {
    this.engine = config.engine;
    this.serving = { config, complete: config, resolved: new Map(), load: 1 };
    const { logger } = options.log;
    this.discovery = new Discovery({
      logger,
      admit: (next, pools) => this.admit(next, pools),
      onChange: () => this.backendsChanged(),
    });
    this.pools = new Pools(this.table, [], {
      onHealth: (event) => logger.info({ ...event }, "backend health changed"),
    });
    this.reports = new LoadReports(this.table.cells);
    this.monitor = new LoadMonitor(this.pools, this.reports, (event) => logLoadEvent(logger, event));
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
      await server.inTurn(() => server.start());
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  private async start(): Promise<void> {
    const { config } = this.serving;
    // Before sources fill the table.
    for (const pool of config.pools.keys()) this.table.acquire(retriesKey(pool));
    this.policies = await registryForTrials(config);
    await this.discovery.prepare(config);
    const complete = this.discovery.complete(config);
    this.serving = { ...this.serving, complete, resolved: await resolveBackends(complete) };
    this.pools.apply(complete.pools.values());
    const packet = PacketEngine.open(config, this.options.log.logger);
    if (typeof packet === "string") this.packetObstacle = packet;
    else this.packet = packet;
    if (config.engine === "pipe") requirePipeEngine();
    if (config.engine === "sockmap") openSockmapEngine();
    const plan = this.planFor(this.serving);
    this.listeners = await ListenerSet.open(config);
    this.addresses = this.listeners.addresses;
    await this.workers.start(plan, config.workers);
    this.memory.commit();
    // The start keeps this thread busy, and every backend would seem to be silent.
    this.monitor.apply(complete.pools.values());
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

  private get config(): Config {
    return this.serving.config;
  }

  private inTurn<T>(change: () => Promise<T>): Promise<T> {
    const next = this.changing.then(change);
    this.changing = next.catch(() => {});
    return next;
  }

  private planFor({ complete: config, resolved, load }: Serving): WorkerPlan {
    const carriers = this.carriers(config);
    const { pools, table, names } = this;
    const memory = this.memory.plan();
    const generation = ++this.generation;
    return planWorkers({ config, carriers, generation, load, pools, table, names, resolved, memory });
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
  reload(config: Config): Promise<void> {
    return this.inTurn(() => this.takeOver(config));
  }

  private async takeOver(config: Config): Promise<void> {
    const { serving: before, policies } = this;
    try {
      this.policies = await registryForTrials(config);
      await this.discovery.prepare(config);
      const complete = this.discovery.complete(config);
      const resolved = await resolveBackends(complete);
      await this.switchTo({ config, complete, resolved, load: before.load + 1 });
    } catch (error) {
      this.policies = policies;
      throw error;
    } finally {
      this.discovery.retain(this.config);
    }
    this.releaseRetries(before.config, config);
    this.loadedAt = new Date();
    const { logger } = this.options.log;
    const ignored = needsRestart(before.config, config);
    if (ignored.length > 0)
      logger.warn({ keys: ignored }, "these changes take effect at the next start only");
    logger.info({ generation: this.serving.load }, "configuration reloaded");
  }

  /** Throws what a worker or the load table has against it; then everything is as it was. */
  private async switchTo(next: Serving): Promise<void> {
    const before = this.serving;
    this.requireOpen();
    this.pools.apply(next.complete.pools.values());
    try {
      await this.workers.apply(this.planFor(next));
    } catch (error) {
      this.requireOpen();
      // Workers that followed go back; their policies start anew, what they share and the backends are as they were.
      this.pools.apply(before.complete.pools.values(), { restore: true });
      await this.workers.apply(this.planFor(before));
      this.releaseRetries(next.complete, before.complete);
      throw error;
    }
    this.requireOpen();
    this.memory.commit();
    this.serving = next;
    // Only now: workers report by the old configuration until they have the new one.
    this.monitor.apply(next.complete.pools.values());
  }

  /** A change that waited for something while all was closed goes no further. */
  private requireOpen(): void {
    if (this.closed) throw new LongspliceError("LS_RELOAD_FAILED", "the process is ending");
  }

  /** Gives back the rows that count the retries of pools that are not there any more. */
  private releaseRetries(before: Config, after: Config): void {
    for (const pool of before.pools.keys()) {
      if (!after.pools.has(pool)) this.table.release(retriesKey(pool));
    }
  }

  /** Throws what the load table or a policy would have against a change, so that it is held against the source that wants it. */
  private admit(config: Config, pools: readonly PoolConfig[]): void {
    this.pools.requireRoom(config.pools.values());
    for (const pool of pools) requirePolicies(this.policies, pool);
  }

  /** Several sources may have news at once: one plan has them all. */
  private backendsChanged(): void {
    if (this.newsOfBackends) return;
    this.newsOfBackends = true;
    void this.inTurn(() => this.followSources());
  }

  private async followSources(): Promise<void> {
    this.newsOfBackends = false;
    if (this.state !== "ready") return;
    const { serving } = this;
    const { logger } = this.options.log;
    const complete = this.discovery.complete(serving.config);
    const changes = changedPools(serving.complete, complete);
    if (changes.length === 0) return;
    try {
      const resolved = await resolveBackends(complete, serving.resolved);
      await this.switchTo({ ...serving, complete, resolved });
      for (const change of changes) logger.info(change, "backends changed");
    } catch (error) {
      if (this.closed) return;
      logger.error({ err: error, changes }, "the backends could not be changed: those before stay");
      clearTimeout(this.retry);
      this.retry = setTimeout(() => this.backendsChanged(), RETRY_MS).unref();
    }
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
    this.closed = true;
    clearTimeout(this.retry);
    this.discovery.close();
    await this.workers.stop();
    await this.packet?.close();
    if (this.engine === "sockmap") closeSockmapEngine();
    await this.listeners?.close();
    await this.admin?.close();
    this.monitor.close();
    this.pools.close();
  }

  private withLoad(backend: BackendStatus): BackendState {
    return { ...backend, load: this.reports.read(backend.slot) };
  }

  private adminSource(): AdminSource {
    return {
      snapshot: () => this.workers.snapshots(),
      backends: () => this.pools.backends().map((backend) => this.withLoad(backend)),
      logDropped: () => this.options.log.dropped(),
      packetCounters: () => this.packet?.counters() ?? {},
      discovery: () => this.discovery.counts(),
      changeBackend: (pool, address, action) => {
        const backend = this.pools[action](pool, address);
        return backend && this.withLoad(backend);
      },
      info: () => ({
        version,
        state: this.state === "ready" && this.workers.alive < this.config.workers ? "degraded" : this.state,
        config: { file: this.options.configFile, generation: this.serving.load, loadedAt: this.loadedAt },
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

/** Pools whose backends differ, with the addresses that came and went. */
function changedPools(before: Config, after: Config): { pool: string; added: string[]; removed: string[] }[] {
  return [...after.pools.values()].flatMap(({ name, backends }) => {
    const old = before.pools.get(name)?.backends ?? [];
    if (isDeepStrictEqual(old, backends)) return [];
    const [was, is] = [old, backends].map((list) => list.map(({ address }) => formatAddress(address)));
    const without = (some: string[] = [], others: string[] = []) =>
      some.filter((each) => !others.includes(each));
    return [{ pool: name, added: without(is, was), removed: without(was, is) }];
  });
}

/** Idle backends send no responses, so their silence in headers is nothing that an operator has to know. */
function logLoadEvent(logger: Logger, { silent, ...event }: LoadEvent): void {
  const level = event.source === "header" ? "debug" : silent ? "warn" : "info";
  logger[level](
    event,
    silent ? "load of a backend is not known any more" : "load of a backend is known again",
  );
}

/** The keys that a reload cannot change. */
function needsRestart(before: Config, after: Config): string[] {
  const sizes = ["pipeFrom", "sockmapFrom", "sockmapTo"] as const;
  const keys = ["listeners", "admin", "workers", "engine", ...sizes, "interfaces", "logLevel"] as const;
  return keys.filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
}
