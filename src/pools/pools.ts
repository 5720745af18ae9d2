import type { Backend } from "../policy/types.js";
import { formatAddress } from "./address.js";
import {
  type Advice,
  type BackendListener,
  type BackendSpec,
  type BackendStatus,
  type HealthEvent,
  PooledBackend,
} from "./backend.js";
import type { LoadSink } from "./load-monitor.js";
import type { LoadTable } from "./load-table.js";
import { Pool, type PoolSpec } from "./pool.js";
import type { ProberDeps } from "./prober.js";

/** How often pools do what is due, milliseconds: so long may a run of failures or the end of an ejection go unnoticed. */
const TICK_MS = 250;

/** Settings of `Pools`. */
export interface PoolsOptions extends ProberDeps {
  /** Told about every change of a backend's health, after the load table has it. */
  readonly onHealth?: (event: HealthEvent) => void;
}

/**
 * All pools of the process: gives every backend its row of the load table and keeps health up to date there.
 * Lives on the main thread; workers see the table only.
 */
export class Pools implements LoadSink {
  private pools = new Map<string, Pool>();
  /** What the last `apply` dropped, by table key. It stays as it was for workers that have not switched, and for a change that is taken back. */
  private dropped = new Map<string, PooledBackend>();
  /** While a pool has something to do. */
  private ticker: NodeJS.Timeout | undefined;

  /** Throws as `apply` does. */
  constructor(
    private readonly table: LoadTable,
    specs: Iterable<PoolSpec>,
    private readonly options: PoolsOptions = {},
  ) {
    this.apply(specs);
  }

  /**
   * Takes over a configuration. A backend that was there before keeps its slot, its figures, its health and
   * an order to drain. The slots of those that are gone stay reserved until the next `apply`: workers that
   * have not switched yet may still use them, and must not meet another backend there.
   * @param restore this takes the last `apply` back: what that one dropped is as if it had never been gone. Otherwise a backend that
   *   comes back is a new one.
   *
   * Throws LS_POOL_CAPACITY if the backends do not fit; then nothing has changed.
   */
  apply(specs: Iterable<PoolSpec>, { restore = false } = {}): void {
    const wanted = [...specs];
    const slots = this.reserve(wanted);
    const next = new Map<string, Pool>();
    const back = restore ? this.dropped : new Map<string, PooledBackend>();
    for (const pool of wanted) {
      next.set(pool.name, new Pool(pool, this.gather(pool, slots, back), this.pools.get(pool.name)));
    }
    this.retire(slots);
    this.pools = next;
    this.keepTime();
  }

  /** Throws LS_POOL_CAPACITY if `apply` would. Nothing changes. */
  requireRoom(specs: Iterable<PoolSpec>): void {
    this.giveBack(this.reserve([...specs]).keys());
  }

  /** The backends of a pool as policies see them; empty if there is no such pool. */
  backendsOf(pool: string): Backend[] {
    return [...(this.pools.get(pool)?.backends.values() ?? [])].map((entry) => entry.backend);
  }

  /** Every backend of every pool, with live figures. */
  backends(): BackendStatus[] {
    return [...this.pools.values()].flatMap((pool) =>
      [...pool.backends.values()].map((entry) => entry.status()),
    );
  }

  /** Stops giving a backend new requests. Returns its new state, undefined if there is no such backend. */
  drain(pool: string, address: string): BackendStatus | undefined {
    return this.setDraining(pool, address, true);
  }

  /** Ends `drain`. Returns the new state, undefined if there is no such backend. */
  enable(pool: string, address: string): BackendStatus | undefined {
    return this.setDraining(pool, address, false);
  }

  /** The row of a backend in the load table; undefined if there is no such backend. */
  slotOf(pool: string, address: string): number | undefined {
    return this.find(pool, address)?.backend.slot;
  }

  /**
   * Does with a backend as it is advised, until it is advised otherwise; `{ reason }` alone takes all back. A change of weight makes
   * links return once, so one that hardly matters is better not said. Nothing happens if there is no such backend.
   */
  advise(pool: string, address: string, advice: Advice): void {
    const backend = this.find(pool, address) ?? this.dropped.get(keyOf(pool, address));
    backend?.advise(advice);
  }

  /** Stops all checks. Idempotent. */
  close(): void {
    this.apply([]);
  }

  /** The backends of a pool by address, those that are there already or come back and new ones, as it wants them. */
  private gather(
    pool: PoolSpec,
    slots: ReadonlyMap<string, number>,
    back: ReadonlyMap<string, PooledBackend>,
  ): Map<string, PooledBackend> {
    const backends = new Map<string, PooledBackend>();
    // At the start of a pool all are new, and a slow start of all is none.
    const grows = (this.pools.get(pool.name)?.backends.size ?? 0) > 0;
    for (const spec of pool.backends) {
      const address = formatAddress(spec.address);
      const key = keyOf(pool.name, address);
      const known = backends.get(address) ?? this.find(pool.name, address) ?? back.get(key);
      const backend = known ?? this.make(pool.name, spec, slots.get(key) as number);
      backend.configure(spec, pool);
      if (known === undefined && grows) backend.startSlowly();
      backends.set(address, backend);
    }
    return backends;
  }

  /** Starts or stops the ticker. */
  private keepTime(): void {
    const wanted = [...this.pools.values()].some((pool) => pool.lives);
    if (wanted === (this.ticker !== undefined)) return;
    clearInterval(this.ticker);
    this.ticker = wanted ? setInterval(() => this.tick(), TICK_MS).unref() : undefined;
  }

  private tick(): void {
    for (const pool of this.pools.values()) pool.tick();
    this.keepTime();
  }

  private setDraining(pool: string, address: string, draining: boolean): BackendStatus | undefined {
    const backend = this.find(pool, address);
    backend?.setDraining(draining);
    return backend?.status();
  }

  /**
   * Slots for all wanted backends by table key; all of them or, with an exception, none that was not there
   * before.
   */
  private reserve(wanted: readonly PoolSpec[]): Map<string, number> {
    const slots = new Map<string, number>();
    const keys = wanted.flatMap((pool) =>
      pool.backends.map((spec) => keyOf(pool.name, formatAddress(spec.address))),
    );
    try {
      for (const key of keys) slots.set(key, this.table.acquire(key));
    } catch (error) {
      this.giveBack(slots.keys());
      throw error;
    }
    return slots;
  }

  /** Ends a reservation: the slots of backends that are there, or were until the last `apply`, stay theirs. */
  private giveBack(keys: Iterable<string>): void {
    const held = new Set([...this.backendsByKey().keys(), ...this.dropped.keys()]);
    for (const key of keys) if (!held.has(key)) this.table.release(key);
  }

  /** Stops the checks of what is not wanted any more, and gives back the slots that were dropped a whole `apply` ago. */
  private retire(wanted: ReadonlyMap<string, number>): void {
    for (const key of this.dropped.keys()) if (!wanted.has(key)) this.table.release(key);
    this.dropped = new Map([...this.backendsByKey()].filter(([key]) => !wanted.has(key)));
    for (const backend of this.dropped.values()) backend.close();
  }

  private make(pool: string, spec: BackendSpec, slot: number): PooledBackend {
    const listener: BackendListener = {
      onHealth: this.options.onHealth ?? (() => {}),
      onShare: (name) => {
        this.pools.get(name)?.weigh();
        this.keepTime();
      },
    };
    return new PooledBackend(pool, spec, slot, this.table, listener, this.options);
  }

  private find(pool: string, address: string): PooledBackend | undefined {
    return this.pools.get(pool)?.backends.get(address);
  }

  private backendsByKey(): Map<string, PooledBackend> {
    const entries = [...this.pools].flatMap(([pool, { backends }]) =>
      [...backends].map(([address, backend]): [string, PooledBackend] => [keyOf(pool, address), backend]),
    );
    return new Map(entries);
  }
}

/** The owner of a row. Pool names hold no space. */
function keyOf(pool: string, address: string): string {
  return `${pool} ${address}`;
}
