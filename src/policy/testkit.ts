import { Candidates } from "./candidates.js";
import {
  HealthCode,
  LOAD_ROW_CELLS,
  LoadCell,
  REPORTED_FIGURES,
  type ReportedFigure,
} from "./load-layout.js";
import { traitsOfModule } from "./traits.js";
import type {
  Backend,
  ExchangeSummary,
  Policy,
  PolicyEnv,
  PolicyModule,
  RequestHead,
  SelectContext,
} from "./types.js";

/** A request head in a test; everything has a default. */
export interface FakeHead {
  readonly method?: string;
  /** Path and query; default `/`. */
  readonly target?: string;
  readonly host?: string;
  /** Names in any case. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A backend in a test; everything but the address has a default. */
export interface FakeBackend {
  readonly address: string;
  /** Default 1. */
  readonly weight?: number;
  /** Exchanges in flight; default 0. */
  readonly active?: number;
  /** Microseconds; default 0, nothing measured. */
  readonly latency?: number;
  /** What it reports of its load; default nothing. */
  readonly reported?: Partial<Record<ReportedFigure, number>>;
  readonly labels?: Readonly<Record<string, string>>;
}

/**
 * Makes a request head. Give it the policy's module too, with its options if it is they that name headers, and it hides the headers
 * that the module does not name in `needs`, as the proxy does; without it all of them show.
 */
export function fakeHead<O>(fake: FakeHead = {}, module?: PolicyModule<O>, options?: O): RequestHead {
  const target = fake.target ?? "/";
  const mark = target.indexOf("?");
  const names = module && traitsOfModule(module, options as O).needs.headers;
  const needed = names && new Set(names.map((name) => name.toLowerCase()));
  const headers = new Map<string, string>();
  for (const [name, value] of Object.entries(fake.headers ?? {})) {
    const key = name.toLowerCase();
    if (needed === undefined || needed.has(key)) headers.set(key, value);
  }
  return {
    method: fake.method ?? "GET",
    target,
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? "" : target.slice(mark + 1),
    host: fake.host ?? "example.test",
    header: (name) => headers.get(name.toLowerCase()),
  };
}

/** Candidates with a load table of their own, which a test can change and fill again. */
export class FakeCandidates extends Candidates {
  /** All backends, in the order given; slots count from 0. */
  readonly backends: readonly Backend[];
  private readonly table: Int32Array;
  private readonly cells: Int32Array;

  constructor(fakes: readonly FakeBackend[]) {
    const table = new Int32Array(fakes.length * LOAD_ROW_CELLS);
    const cells = new Int32Array(fakes.length + 1);
    const backends = fakes.map(({ address, weight = 1, labels = {} }, slot) => ({
      slot,
      address,
      weight,
      labels,
    }));
    super(table, cells, backends);
    this.table = table;
    this.cells = cells;
    this.backends = backends;
    for (const { address, weight = 1, active = 0, latency = 0, reported = {} } of fakes) {
      this.set(address, { weight, active, latency, reported, eligible: true });
    }
    this.reset();
  }

  /** Changes a backend's figures. An ineligible one is missing from the next `reset` on. */
  set(
    address: string,
    figures: Omit<Partial<FakeBackend>, "address" | "labels"> & { readonly eligible?: boolean },
  ): void {
    const row = this.slotOf(address) * LOAD_ROW_CELLS;
    if (figures.weight !== undefined) this.table[row + LoadCell.weight] = figures.weight;
    if (figures.active !== undefined) this.table[row + LoadCell.active] = figures.active;
    if (figures.latency !== undefined) this.table[row + LoadCell.ewmaMicros] = figures.latency;
    for (const name of REPORTED_FIGURES) {
      const value = figures.reported?.[name];
      if (value !== undefined) this.table[row + LoadCell[name]] = value + 1;
    }
    if (figures.eligible === undefined) return;
    this.table[row + LoadCell.eligible] = figures.eligible ? 1 : 0;
    this.table[row + LoadCell.health] = figures.eligible ? HealthCode.healthy : HealthCode.unhealthy;
  }

  /** Offers every eligible backend again, as for the next request. */
  reset(): void {
    let count = 0;
    for (const { slot } of this.backends) {
      if (this.table[slot * LOAD_ROW_CELLS + LoadCell.eligible] === 1) this.cells[++count] = slot;
    }
    this.cells[0] = count;
  }

  /** Addresses that are left, in order. */
  addresses(): string[] {
    return Array.from({ length: this.length }, (_, position) => this.at(position).address);
  }

  private slotOf(address: string): number {
    const backend = this.backends.find((candidate) => candidate.address === address);
    if (backend === undefined) throw new RangeError(`no backend has the address ${address}`);
    return backend.slot;
  }
}

/** Makes candidates. */
export function fakeCandidates(backends: readonly FakeBackend[]): FakeCandidates {
  return new FakeCandidates(backends);
}

/** Makes a context: first attempt, at time 0, from 192.0.2.1. Added response headers are dropped. */
export function fakeContext(context: Partial<SelectContext> = {}): SelectContext {
  return { now: 0, clientAddress: "192.0.2.1", attempt: 0, addResponseHeader: () => {}, ...context };
}

/** The end of an exchange in a test: what matters to it; the rest is a response with status 200 that took no time. */
export function fakeSummary(
  backend: Backend,
  fake: Partial<Omit<ExchangeSummary, "backend" | "responseHeader">> & {
    /** Names in any case. */
    readonly responseHeaders?: Readonly<Record<string, string>>;
  } = {},
): ExchangeSummary {
  const { responseHeaders = {}, ...summary } = fake;
  const headers = new Map(
    Object.entries(responseHeaders).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return {
    backend,
    status: 200,
    ok: true,
    headMicros: 0,
    totalMicros: 0,
    bytes: 0,
    method: "GET",
    target: "/",
    host: "example.test",
    responseHeader: (name) => headers.get(name.toLowerCase()),
    ...summary,
  };
}

/** Makes an environment whose random numbers are the same in every run. Its log goes nowhere. */
export function fakeEnv(env: Partial<PolicyEnv> = {}): PolicyEnv {
  // Always the same object, as in the proxy.
  const none = fakeCandidates([]);
  return {
    pool: "test",
    worker: 0,
    workers: 1,
    backends: [],
    candidates: () => none,
    shared: null,
    random: seededRandom(1),
    log: () => {},
    reconsider: () => {},
    ...env,
  };
}

/**
 * A repeatable source of numbers in [0, 1): a Weyl sequence through the murmur3 finaliser. Good enough
 * to test distributions, not for secrets.
 */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let x = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
  };
}

/** Asks a policy for one request; the candidates are offered afresh. Undefined if it leaves none. */
export async function pick(
  policy: Policy,
  candidates: FakeCandidates,
  head: RequestHead = fakeHead(),
  context: SelectContext = fakeContext(),
): Promise<Backend | undefined> {
  candidates.reset();
  await policy.select(head, candidates, context);
  return candidates.length > 0 ? candidates.at(0) : undefined;
}

/**
 * Asks a policy `times` times and counts the answers by address; `headOf` and `contextOf` make what the n-th request comes with.
 * A backend that is never chosen is there with 0, "no backend" is counted as `none`.
 */
export async function spread(
  policy: Policy,
  candidates: FakeCandidates,
  times: number,
  headOf: (n: number) => RequestHead = () => SAME_HEAD,
  contextOf: (n: number) => SelectContext = () => SAME_CONTEXT,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { address } of candidates.backends) counts[address] = 0;
  for (let n = 0; n < times; n++) {
    const address = (await pick(policy, candidates, headOf(n), contextOf(n)))?.address ?? "none";
    counts[address] = (counts[address] ?? 0) + 1;
  }
  return counts;
}

const SAME_HEAD = fakeHead();
const SAME_CONTEXT = fakeContext();
