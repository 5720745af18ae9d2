import type { Backend, Candidates, PolicyEnv } from "../../src/policy/index.js";
import type { Bound } from "./bound.js";
import type { Chooser } from "./hash-policy.js";
import { Rendezvous } from "./rendezvous.js";
import { finalize, TextHash } from "./text-hash.js";

/** A backend as tables are built of it: two lanes of hash of its address, and its weight, 1 and up. */
export interface Member {
  readonly slot: number;
  readonly address: string;
  readonly weight: number;
  readonly a: number;
  readonly b: number;
}

/** Divides all hashes among members. */
export interface HashTable {
  /** The slot of the member to whom a hash (32 bits, signed) belongs. */
  owner(hash: number): number;
  /** How much belongs to each member, in the order that the table was given them; only proportions mean something. */
  readonly shares: Float64Array;
}

/** Builds a table of one member or more, sorted by address; the same for the same members on every machine. */
export type TableBuilder = (members: readonly Member[]) => HashTable;

/** Tries before rendezvous hashing has to decide. Used up only where few of the backends are offered. */
const TRIES = 64;
/** Choices between two looks at all backends. */
const SURVEY_EVERY = 64;
const GOLDEN = 0x9e3779b9;

/**
 * Chooses by a table of all backends of the pool, whether they are offered or not (README.md of this folder). A key that belongs to
 * one that is not offered, is over the bound or weighs less than usual is hashed again; so the table stays, and only such keys move.
 */
export class TableChoice implements Chooser {
  private table: HashTable | undefined;
  private readonly hash = new TextHash();
  private readonly rendezvous: Rendezvous;
  // All by slot, from here on.
  private readonly known: (Backend | undefined)[] = [];
  /** The weight in the table; 0: not in it. */
  private weights = new Float64Array(16);
  /** The weight that the share in the table is right for, no less than the one in the table. */
  private deserved = new Float64Array(16);
  /** The position where it was found last. */
  private places = new Int32Array(16);
  /** Cell 0: the highest weight in effect, in proportion to that in the table. A cell, because fractions as fields lie on the heap. */
  private readonly scale = new Float64Array(1);
  private surveyed: Candidates | undefined;
  private untilSurvey = 0;

  constructor(
    private readonly build: TableBuilder,
    private readonly bound: Bound,
    private readonly env: Pick<PolicyEnv, "backends" | "candidates">,
  ) {
    this.rendezvous = new Rendezvous(bound);
    for (const backend of env.backends) this.learn(backend, backend.weight);
    this.rebuild();
  }

  choose(candidates: Candidates, a: number, b: number): number {
    if (--this.untilSurvey < 0 || candidates !== this.surveyed) this.survey(candidates);
    const { table } = this;
    const scale = this.scale[0] as number;
    if (table === undefined || scale === 0) return this.rendezvous.choose(candidates, a, b);
    this.bound.measure(candidates);
    for (let tries = 0; tries < TRIES; tries++) {
      // Kept to 32 bits: what is larger would be put on the heap for the call.
      const hash = tries === 0 ? a : finalize((a + Math.imul(tries, GOLDEN)) | 0);
      const slot = table.owner(hash);
      const place = this.find(candidates, slot);
      if (place < 0) continue;
      const weight = candidates.weight(place);
      if (weight === 0 || !this.bound.admits(candidates, place, weight)) continue;
      const part = weight / ((this.deserved[slot] as number) * scale);
      if (part >= 1 || finalize(hash ^ b) >>> 0 < part * 2 ** 32) return place;
    }
    return this.rendezvous.choose(candidates, a, b);
  }

  /** Where a slot is offered; -1 if it is not. */
  private find(candidates: Candidates, slot: number): number {
    const last = this.places[slot] as number;
    if (last < candidates.length && candidates.slotAt(last) === slot) return last;
    for (let i = 0; i < candidates.length; i++) {
      if (candidates.slotAt(i) !== slot) continue;
      this.places[slot] = i;
      return i;
    }
    return -1;
  }

  /**
   * Looks how weights have changed, and builds a new table if it lacks a backend: one that the pool did not have at the start. Not
   * for every choice, because it takes time in proportion to the number of backends; a scale that is too high for a while
   * does no harm. One that is too low does, so it is not taken of those that one request is offered.
   */
  private survey(offered: Candidates): void {
    this.surveyed = offered;
    this.untilSurvey = SURVEY_EVERY;
    const all = this.env.candidates();
    // None of a pool that is no longer configured; exchanges under way still ask.
    const candidates = all.length > 0 ? all : offered;
    let stale = false;
    for (let i = 0; i < candidates.length; i++) {
      const backend = candidates.at(i);
      const { slot } = backend;
      if (this.known[slot] === backend && this.weights[slot] !== 0) continue;
      stale = this.learn(backend, candidates.weight(i)) || stale;
    }
    if (stale) this.rebuild();
    let scale = 0;
    for (let i = 0; i < candidates.length; i++) {
      const weight = candidates.weight(i);
      if (weight === 0) continue;
      const part = weight / (this.weights[candidates.slotAt(i)] as number);
      if (part > scale) scale = part;
    }
    this.scale[0] = scale;
  }

  /** True if the table is another one with this backend. One without a configured weight goes by the weight in effect. */
  private learn(backend: Backend, inEffect: number): boolean {
    const { slot, address } = backend;
    // Filled without gaps: V8 turns an array with wide ones into a dictionary.
    while (this.known.length <= slot) this.known.push(undefined);
    if (slot >= this.weights.length) this.grow(slot);
    const weight = backend.weight || inEffect;
    const same = this.known[slot]?.address === address && this.weights[slot] === weight;
    this.known[slot] = backend;
    this.weights[slot] = weight;
    return !same;
  }

  private grow(slot: number): void {
    const { weights, deserved, places } = this;
    this.weights = new Float64Array(2 * slot);
    this.weights.set(weights);
    this.deserved = new Float64Array(2 * slot);
    this.deserved.set(deserved);
    this.places = new Int32Array(2 * slot);
    this.places.set(places);
  }

  private rebuild(): void {
    const members = this.known
      .filter((backend) => backend !== undefined && (this.weights[backend.slot] as number) > 0)
      .map((backend) => this.member(backend as Backend))
      .sort((one, other) => (one.address < other.address ? -1 : 1));
    this.table = members.length === 0 ? undefined : this.build(members);
    const shares = this.table?.shares ?? [];
    // What a weight of 1 has of the table where a member got the least for its weight.
    const least = members.reduce((min, { weight }, i) => {
      const share = shares[i] as number;
      return share > 0 ? Math.min(min, share / weight) : min;
    }, Number.POSITIVE_INFINITY);
    for (const [i, { slot, weight }] of members.entries()) {
      this.deserved[slot] = Math.max(weight, (shares[i] as number) / least);
    }
  }

  private member({ slot, address }: Backend): Member {
    this.hash.take(address);
    return { slot, address, weight: this.weights[slot] as number, a: this.hash.a, b: this.hash.b };
  }
}
