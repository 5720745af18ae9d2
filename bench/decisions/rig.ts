/** A pool in memory, with load that changes, for which a policy decides: the real chain, without servers and sockets. */
import { builtinPolicies } from "../../policies/index.js";
import { Candidates } from "../../src/policy/candidates.js";
import type { PolicyChain } from "../../src/policy/chain.js";
import {
  type Backend,
  type ExchangeSummary,
  fakeContext,
  fakeEnv,
  fakeHead,
  fakeSummary,
  type RequestHead,
  type SelectContext,
  seededRandom,
} from "../../src/policy/index.js";
import { LOAD_ROW_CELLS, LoadCell, REPORTED_FIGURES } from "../../src/policy/load-layout.js";
import { PolicyRegistry } from "../../src/policy/registry.js";
import { hasHotTarget, labelsOf } from "./settings.js";

/** Different targets. */
const REQUESTS = 10_000;
/** Different clients: no more than policies remember, as they come again and again. */
const CLIENTS = 2000;
/** Without one, the kind of content has to be found out in another way. */
const EXTENSIONS = [".html", ".css", ".js", ".png", ".mp4", ""];
const ACCEPTS = ["text/html,*/*;q=0.8", "image/avif,image/webp,image/*", "application/json", "*/*"];

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function headOf(number: number, more: Readonly<Record<string, string>> = {}): RequestHead {
  const extension = EXTENSIONS[number % EXTENSIONS.length] as string;
  const target = `/assets/section-${number % 97}/item-${number}${extension}?v=${number % 7}`;
  const accept = ACCEPTS[number % ACCEPTS.length] as string;
  const header = valuesOf({ accept, "x-user": `user-${number}`, ...more });
  return { ...fakeHead({ target, host: `www${number % 5}.example.com` }), header };
}

/** Unlike that of the test kit, this one makes no other name of the name; all policies ask in lower case. */
function valuesOf(fields: Readonly<Record<string, string>>): (name: string) => string | undefined {
  const values = new Map(Object.entries(fields));
  return (name) => values.get(name);
}

function clientOf(number: number): SelectContext {
  const client = number % CLIENTS;
  return fakeContext({ clientAddress: `10.${client % 251}.${client % 17}.${client % 253}` });
}

/**
 * One decision is `prepare`, `decide`, `finish`; `decide` is what is measured. Four exchanges for each backend are in flight. None of
 * the three allocates anything itself.
 */
export class Rig {
  /** If nobody wants to know how exchanges end, `finish` tells nobody. */
  readonly learns: boolean;
  private readonly chain: PolicyChain;
  private readonly load: Int32Array;
  private readonly slots: Int32Array;
  private readonly offer: Int32Array;
  private readonly candidates: Candidates;
  private readonly heads: RequestHead[];
  private readonly contexts: Mutable<SelectContext>[] = Array.from({ length: REQUESTS }, (_, n) =>
    clientOf(n),
  );
  private readonly summaries: Mutable<ExchangeSummary>[];
  /** Slots of the exchanges in flight, the oldest at `turn`. */
  private readonly inFlight: Int32Array;
  private readonly random = seededRandom(7);
  private turn = 0;
  private decided = 0;
  /** Of the request that is decided. */
  private head: RequestHead;
  private context: Mutable<SelectContext>;

  /** @param clock of the chain; without, the real one */
  constructor(policy: string, options: unknown, count: number, clock?: () => number) {
    const hot = hasHotTarget(policy);
    this.heads = Array.from({ length: REQUESTS }, (_, n) => headOf(hot && n % 2 === 0 ? 0 : n));
    const backends: Backend[] = Array.from({ length: count }, (_, slot) => ({
      slot,
      address: `10.1.${slot >> 8}.${slot & 255}:8080`,
      weight: 1,
      labels: labelsOf(slot),
    }));
    this.load = new Int32Array(count * LOAD_ROW_CELLS);
    this.offer = Int32Array.from([count, ...backends.map(({ slot }) => slot)]);
    this.slots = this.offer.slice();
    this.candidates = new Candidates(this.load, this.slots, backends);
    // Something that hybrid takes to be worth a cache.
    const responseHeader = valuesOf({ "cache-control": "max-age=600", "content-type": "text/html" });
    this.summaries = backends.map((backend) => ({ ...fakeSummary(backend), responseHeader }));
    this.inFlight = new Int32Array(4 * count).fill(-1);
    for (const { slot } of backends) this.report(slot);
    const registry = new PolicyRegistry(builtinPolicies);
    const bytes = registry.sharedBytes(policy, options);
    const shared = bytes === 0 ? null : new SharedArrayBuffer(bytes);
    const spec = { name: policy, options, shared };
    this.chain = registry.createChain([spec], fakeEnv({ backends }), clock && { clock });
    this.learns = this.chain.hasOnDone;
    if (registry.traitsOf([spec]).changesResponses) this.takeCookies();
    this.head = this.heads[0] as RequestHead;
    this.context = this.contexts[0] as Mutable<SelectContext>;
  }

  /** What a client is given with its first response, it comes back with. */
  private takeCookies(): void {
    for (const number of this.heads.keys()) {
      const head = this.heads[number] as RequestHead;
      const addResponseHeader = (name: string, value: string) => {
        if (name.toLowerCase() !== "set-cookie") return;
        this.heads[number] = headOf(number, { cookie: value.split(";", 1)[0] as string });
      };
      this.slots.set(this.offer);
      void this.chain.select(head, this.candidates, fakeContext({ addResponseHeader }));
    }
  }

  /** The next request comes: another target, another client, a bit later; all backends are offered. */
  prepare(): void {
    // A stride without a common factor with their number leads to all of them, neighbours in time far apart.
    const number = (this.decided++ * 3571) % REQUESTS;
    this.head = this.heads[number] as RequestHead;
    this.context = this.contexts[number] as Mutable<SelectContext>;
    this.context.now = this.decided >> 3;
    this.slots.set(this.offer);
  }

  /** @throws Error if the policy is asynchronous: those cannot be measured like this */
  decide(): void {
    if (this.chain.select(this.head, this.candidates, this.context) !== undefined)
      throw new Error("it answered later");
  }

  /** The request goes to the backend that was chosen, and the oldest one is answered. */
  finish(): void {
    if (this.chain.counters.errors > 0) throw new Error("the policy threw");
    const ended = this.inFlight[this.turn] as number;
    const chosen = this.candidates.length > 0 ? this.candidates.slotAt(0) : -1;
    this.inFlight[this.turn] = chosen;
    this.turn = (this.turn + 1) % this.inFlight.length;
    if (chosen >= 0) this.add(chosen, LoadCell.active, 1);
    if (ended >= 0) this.end(ended);
  }

  private end(slot: number): void {
    this.add(slot, LoadCell.active, -1);
    const row = slot * LOAD_ROW_CELLS;
    const micros = 200 + ((slot * 37 + this.decided) % 1000);
    const old = this.load[row + LoadCell.ewmaMicros] as number;
    this.load[row + LoadCell.ewmaMicros] = old === 0 ? micros : old + Math.trunc((micros - old) / 8);
    // Backends tell their load ever now and then.
    if (this.decided % 16 === 0) this.add(slot, LoadCell.cpu, (this.decided & 32) === 0 ? 1 : -1);
    if (!this.learns) return;
    const summary = this.summaries[slot] as Mutable<ExchangeSummary>;
    const { head } = this;
    summary.headMicros = micros;
    summary.totalMicros = 2 * micros;
    summary.bytes = 8 * micros;
    summary.target = head.target;
    summary.host = head.host;
    this.chain.onDone(summary);
  }

  private report(slot: number): void {
    const row = slot * LOAD_ROW_CELLS;
    this.load[row + LoadCell.eligible] = 1;
    this.load[row + LoadCell.weight] = 100;
    for (const figure of REPORTED_FIGURES) {
      this.load[row + LoadCell[figure]] = 300 + Math.floor(this.random() * 400);
    }
  }

  private add(slot: number, cell: number, change: number): void {
    const index = slot * LOAD_ROW_CELLS + cell;
    this.load[index] = (this.load[index] as number) + change;
  }
}
