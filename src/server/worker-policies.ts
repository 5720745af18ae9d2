import { inspect } from "node:util";
import {
  type DataPlane,
  DECISION_PENDING,
  type ExchangeText,
  type HeadView,
  MAX_NEEDED_HEADERS,
  type NativePool,
  NO_BACKEND,
  responseField,
} from "../dataplane/index.js";
import { LongspliceError } from "../errors/index.js";
import type { ChainContext, PolicyChain } from "../policy/chain.js";
import { type Backend, Candidates, type ExchangeSummary } from "../policy/index.js";
import { LOAD_ROW_CELLS, LoadCell, PLACEMENT_CELL } from "../policy/load-layout.js";
import type { PolicyRegistry, PolicyTraits } from "../policy/registry.js";
import { LoadReports } from "../pools/load-report.js";
import { ORCA_HEADER } from "../pools/orca.js";
import { HeaderReports } from "./header-reports.js";
import type { PlannedPool, PolicyProblems, WorkerPlan } from "./messages.js";
import { loadRegistry } from "./policy-registry.js";

/** Calls of `PolicyEnv.reconsider` that follow one within this time have no effect. */
const RECONSIDER_MS = 250;

/** What the policies of a worker need of it. */
export interface PoliciesHost {
  readonly worker: number;
  readonly workers: number;
  readonly load: Int32Array;
  /** The numbers of the policies that exchanges under way may ask. */
  policiesInUse(): readonly number[];
  log(level: "info" | "warn", message: string, fields?: object): void;
}

/** Reads through to the head at hand, so that nothing is decoded or allocated for a policy that does not ask. */
class LiveContext implements ChainContext {
  private head: HeadView | undefined;
  /** Of the policies that have had their say. */
  private fields: string[] = [];
  private open = false;

  /** @param adds whether the pool's policies say that they add fields; responses may pass user space otherwise */
  constructor(private readonly adds: boolean) {}

  get now(): number {
    return performance.now();
  }
  get clientAddress(): string {
    return this.head?.clientAddress ?? "";
  }
  get attempt(): number {
    return this.head?.attempt ?? 0;
  }
  addResponseHeader(name: string, value: string): void {
    if (!this.adds) throw new TypeError("the module does not say addsResponseHeaders");
    const line = responseField(name, value);
    if (this.open) this.fields.push(line);
  }
  get added(): number {
    return this.fields.length;
  }
  keepAdded(count: number): void {
    this.fields.length = count;
  }
  /** The policies are asked about this request from now on. */
  begin(head: HeadView): void {
    this.head = head;
    this.open = true;
  }
  /**
   * The decision is made: what was added goes to the response. What is added later goes nowhere, above all not to the response of
   * the next request that this object serves.
   */
  hand(dataPlane: DataPlane, token: number): void {
    this.open = false;
    if (this.fields.length === 0) return;
    for (const line of this.fields) dataPlane.addResponseField(token, line);
    this.fields = [];
  }
}

/** What `onDone` is told, out of the numbers and texts of native code. */
class Summary implements ExchangeSummary {
  constructor(
    readonly backend: Backend,
    readonly status: number,
    readonly ok: boolean,
    readonly headMicros: number,
    readonly totalMicros: number,
    readonly bytes: number,
    private readonly about: ExchangeText | null,
    private readonly headerNames: readonly string[],
  ) {}
  get method(): string {
    return this.about?.method ?? "";
  }
  get target(): string {
    return this.about?.target ?? "";
  }
  get host(): string {
    return this.about?.host ?? "";
  }
  responseHeader(name: string): string | undefined {
    return this.about?.headers[this.headerNames.indexOf(name.toLowerCase())];
  }
}

/** One pool's policy chain and the objects that its calls share. */
class PoolPolicies {
  private slots: Int32Array;
  private candidates: Candidates;
  private context: LiveContext;

  constructor(
    readonly pool: string,
    readonly chain: PolicyChain,
    readonly neededHeaders: readonly string[],
    readonly neededResponseHeaders: readonly string[] | null,
    /** Null: backends do not report in responses. */
    readonly reports: HeaderReports | null,
    readonly traits: PolicyTraits,
    backends: readonly Backend[],
    private readonly bySlot: readonly (Backend | undefined)[],
    private readonly load: Int32Array,
  ) {
    this.context = new LiveContext(traits.changesResponses);
    this.slots = new Int32Array(backends.length + 1);
    this.candidates = new Candidates(load, this.slots, this.bySlot);
  }

  backend(slot: number): Backend | undefined {
    return this.bySlot[slot];
  }

  /** See `DataPlaneHooks.select`. */
  select(head: HeadView, offered: Int32Array, dataPlane: DataPlane): number {
    head.names = this.neededHeaders;
    const { slots, candidates, context } = this;
    context.begin(head);
    const count = offered[0] as number;
    for (let i = 0; i <= count; i++) slots[i] = offered[i] as number;
    const pending = this.chain.select(head, candidates, context);
    const { token } = head;
    if (pending === undefined) {
      context.hand(dataPlane, token);
      return firstSlot(candidates);
    }
    dataPlane.giveAwayHead();
    this.renew();
    const decide = () => {
      context.hand(dataPlane, token);
      dataPlane.decided(token, firstSlot(candidates));
    };
    pending.then(decide, decide);
    return DECISION_PENDING;
  }

  /** The objects of an undecided call stay its own; the next call gets new ones. */
  private renew(): void {
    this.slots = new Int32Array(this.slots.length);
    this.candidates = new Candidates(this.load, this.slots, this.bySlot);
    this.context = new LiveContext(this.traits.changesResponses);
  }
}

function arrangeBySlot(backends: readonly Backend[]): (Backend | undefined)[] {
  // Filled to the end: an array with gaps may become a dictionary, which is slow to read.
  const highest = backends.reduce((slot, backend) => Math.max(slot, backend.slot), 0);
  const bySlot = new Array<Backend | undefined>(highest + 1).fill(undefined);
  for (const backend of backends) bySlot[backend.slot] = backend;
  return bySlot;
}

/** See `PolicyEnv.candidates`; none while it is idle. */
function viewOf(
  backends: readonly Backend[],
  bySlot: readonly (Backend | undefined)[],
  load: Int32Array,
  idle: () => boolean,
): () => Candidates {
  const slots = new Int32Array(backends.length + 1);
  const candidates = new Candidates(load, slots, bySlot);
  return () => {
    let count = 0;
    for (const { slot } of idle() ? [] : backends) {
      if (load[slot * LOAD_ROW_CELLS + LoadCell.eligible] === 1) slots[++count] = slot;
    }
    slots[0] = count;
    return candidates;
  };
}

/** Equal for pools for which the same chain will do. Memory is the same where its size is, as long as a pool stays. */
function fingerprint({ specs, candidates, reportsInHeader }: PlannedPool): string {
  const memory = specs.map(({ shared }) => shared?.byteLength);
  return JSON.stringify([
    specs.map(({ name, options }) => [name, options]),
    memory,
    candidates,
    reportsInHeader,
  ]);
}

/** What a policy throws may be anything, even something that chokes on every look at it. */
function described(thrown: unknown): string {
  try {
    return thrown instanceof Error ? (thrown.stack ?? thrown.message) : inspect(thrown);
  } catch {
    return "it threw something that cannot be shown";
  }
}

function firstSlot(candidates: Candidates): number {
  return candidates.length === 0 ? NO_BACKEND : candidates.slotAt(0);
}

/** The policy chains of one worker: those of the plan in effect, and those that exchanges of earlier plans may still ask. */
export class WorkerPolicies {
  /** By the number that native code knows a pool's policies by. */
  private readonly byNumber = new Map<number, PoolPolicies>();
  /** Of the plan in effect: by pool, what its chain was made of, and its number. */
  private current = new Map<string, { made: string; number: number }>();
  private registry: PolicyRegistry | undefined;
  private load = 0;
  private next = 0;
  private reconsidered = Number.NEGATIVE_INFINITY;
  /** Counters of chains that are closed: what was counted stays counted. */
  private readonly past: PolicyProblems[] = [];

  constructor(private readonly host: PoliciesHost) {}

  /**
   * Makes the chains of a plan and completes its pools. A pool that is as it was in the plan before keeps its chain, unless the
   * configuration was loaded again. Chains that no exchange can ask any more are closed.
   * @throws LongspliceError LS_POLICY_* when a policy cannot be made; then nothing has changed
   */
  async apply(plan: WorkerPlan): Promise<NativePool[]> {
    const reloaded = this.registry === undefined || plan.load !== this.load;
    const registry = reloaded ? await loadRegistry(plan.plugins) : (this.registry as PolicyRegistry);
    const next = new Map<string, { made: string; number: number }>();
    const fresh: number[] = [];
    try {
      for (const pool of plan.pools) {
        const made = fingerprint(pool);
        const old = reloaded ? undefined : this.current.get(pool.name);
        const number = old?.made === made ? old.number : this.next++;
        next.set(pool.name, { made, number });
        if (number === old?.number) continue;
        this.byNumber.set(number, this.make(number, pool, registry));
        fresh.push(number);
      }
    } catch (error) {
      for (const number of fresh) this.retire(number);
      throw error;
    }
    const used = new Set([...this.host.policiesInUse(), ...[...next.values()].map(({ number }) => number)]);
    for (const number of [...this.byNumber.keys()]) if (!used.has(number)) this.retire(number);
    this.current = next;
    this.registry = registry;
    this.load = plan.load;
    return plan.pools.map(({ name, backends, proxyProtocol, retries }) => {
      const policy = next.get(name)?.number as number;
      const policies = this.byNumber.get(policy) as PoolPolicies;
      const { chain, neededHeaders, neededResponseHeaders, reports, traits } = policies;
      const wantsDone = chain.hasOnDone || reports !== null;
      const needs = { neededHeaders, neededResponseHeaders, wantsDone };
      return { name, backends, proxyProtocol, retries, policy, ...needs, choosesBy: traits.choosesBy };
    });
  }

  /** See `DataPlaneHooks.select`. */
  select(head: HeadView, offered: Int32Array, dataPlane: DataPlane): number {
    return this.byNumber.get(head.policy)?.select(head, offered, dataPlane) ?? NO_BACKEND;
  }

  /** See `DataPlaneHooks.done`. */
  done(
    policy: number,
    slot: number,
    status: number,
    ok: boolean,
    headMicros: number,
    totalMicros: number,
    bytes: number,
    about: ExchangeText | null,
  ): void {
    const policies = this.byNumber.get(policy);
    const backend = policies?.backend(slot);
    if (policies === undefined || backend === undefined) return;
    const names = policies.neededResponseHeaders ?? [];
    const summary = new Summary(backend, status, ok, headMicros, totalMicros, bytes, about, names);
    // Under an earlier plan the load may have come from somewhere else.
    if (policies.reports !== null && this.current.get(policies.pool)?.number === policy) {
      const report = summary.responseHeader(ORCA_HEADER);
      if (report !== undefined) policies.reports.note(slot, report);
    }
    policies.chain.onDone(summary);
  }

  /** What went wrong since the worker began; a pool may have several rows, which add up. */
  problems(): PolicyProblems[] {
    const present = [...this.byNumber.values()].map(({ pool, chain }) => ({ pool, ...chain.counters }));
    return [...this.past, ...present];
  }

  /** Closes every chain. */
  close(): void {
    for (const policies of this.byNumber.values()) policies.chain.close();
    this.byNumber.clear();
  }

  private retire(number: number): void {
    const policies = this.byNumber.get(number);
    if (policies === undefined) return;
    policies.chain.close();
    this.byNumber.delete(number);
    const sum = this.past.find((each) => each.pool === policies.pool);
    const { errors, late, emptied } = policies.chain.counters;
    if (sum === undefined) {
      this.past.push({ pool: policies.pool, errors, late, emptied });
    } else {
      sum.errors += errors;
      sum.late += late;
      sum.emptied += emptied;
    }
  }

  /** All workers notice, within a tick. */
  private reconsider(): void {
    const now = performance.now();
    if (now - this.reconsidered < RECONSIDER_MS) return;
    this.reconsidered = now;
    Atomics.add(this.host.load, PLACEMENT_CELL, 1);
  }

  private make(number: number, pool: PlannedPool, registry: PolicyRegistry): PoolPolicies {
    const { worker, workers, load } = this.host;
    const bySlot = arrangeBySlot(pool.candidates);
    // A chain that only answers exchanges of an earlier plan shall not look after the pool as well. It is not there yet while it is made.
    const superseded = () => this.byNumber.has(number) && this.current.get(pool.name)?.number !== number;
    let places = false;
    const env = {
      pool: pool.name,
      worker,
      workers,
      backends: pool.candidates,
      candidates: viewOf(pool.candidates, bySlot, load, superseded),
      shared: null,
      random: Math.random,
      log: (message: string) => this.host.log("info", message, { pool: pool.name }),
      reconsider: () => places && this.reconsider(),
    };
    const chain = registry.createChain(pool.specs, env, {
      report: (policy, problem, detail, times) =>
        this.host.log("warn", "policy problem", {
          pool: pool.name,
          policy,
          problem,
          detail: described(detail),
          times,
        }),
    });
    // Where every request is asked about there is nothing to call back.
    const traits = registry.traitsOf(pool.specs);
    places = traits.choosesBy !== "request";
    const headers = registry.headersFor(pool.specs);
    if (headers.length > MAX_NEEDED_HEADERS) {
      const detail = `the policies of pool "${pool.name}" need ${headers.length} headers, ${MAX_NEEDED_HEADERS} are possible`;
      throw new LongspliceError("LS_POLICY_CREATE", detail);
    }
    const forPolicies = registry.responseHeadersFor(pool.specs);
    const reports = pool.reportsInHeader ? new HeaderReports(new LoadReports(load)) : null;
    const responseHeaders =
      reports === null ? forPolicies : [...new Set([...(forPolicies ?? []), ORCA_HEADER])];
    return new PoolPolicies(
      pool.name,
      chain,
      headers,
      responseHeaders,
      reports,
      traits,
      pool.candidates,
      bySlot,
      load,
    );
  }
}
