import {
  type Backend,
  type Candidates,
  definePolicy,
  type Policy,
  type PolicyEnv,
  z,
} from "../../src/policy/index.js";
import { BackendNumbers } from "../by-slot.js";
import { EvenLots } from "../even-lots.js";

/** How many tiers there may be. */
const TIERS = 32;

/** Narrows to the candidates of one tier: the first one, but for what it cannot serve while backends of it are missing. */
class Priority implements Policy {
  private readonly tiers: BackendNumbers;
  private readonly lots: EvenLots;
  /** By tier: how many backends it has, how many of them are offered this time, whether one of these has a weight. */
  private readonly members = new Int32Array(TIERS);
  private readonly offered = new Int32Array(TIERS);
  private readonly usable = new Uint8Array(TIERS);
  /** By tier: the sum of the tiers' health up to and with its own. */
  private readonly sums = new Float64Array(TIERS);
  /** The candidates' tiers, by position. */
  private found = new Int32Array(16);
  private chosen = 0;

  constructor(
    label: string,
    private readonly factor: number,
    env: PolicyEnv,
  ) {
    this.tiers = new BackendNumbers(env.backends, (backend) => tierOf(backend, label));
    this.lots = new EvenLots(env.random);
    for (const backend of env.backends) {
      const tier = tierOf(backend, label);
      this.members[tier] = (this.members[tier] as number) + 1;
    }
  }

  select(_head: unknown, candidates: Candidates): void {
    if (candidates.length <= 1) return;
    this.count(candidates);
    this.assess();
    this.chosen = this.tierAt(this.lots.draw());
    if (this.offered[this.chosen] === candidates.length) return;
    candidates.filter(this.isChosen);
  }

  private count(candidates: Candidates): void {
    const even = candidates.totalWeight() === 0;
    if (candidates.length > this.found.length) this.found = new Int32Array(2 * candidates.length);
    this.tiers.take(candidates);
    this.offered.fill(0);
    this.usable.fill(0);
    for (let i = 0; i < candidates.length; i++) {
      const tier = this.tiers.at(candidates, i);
      this.found[i] = tier;
      this.offered[tier] = (this.offered[tier] as number) + 1;
      if (this.usable[tier] === 0 && (even || candidates.weight(i) > 0)) this.usable[tier] = 1;
    }
  }

  /** Works out which part of all traffic each tier can serve, its health. */
  private assess(): void {
    let sum = 0;
    for (let tier = 0; tier < TIERS; tier++) {
      if (this.usable[tier] === 1) {
        const offered = this.offered[tier] as number;
        const members = Math.max(this.members[tier] as number, offered);
        sum += Math.min(1, (this.factor * offered) / members);
      }
      this.sums[tier] = sum;
    }
  }

  /** The tier at a place of `EvenLots`: each gets its health in parts of their sum, as far as those before it leave something. */
  private tierAt(place: number): number {
    const ticket = (place / EvenLots.count) * Math.min(1, this.sums[TIERS - 1] as number);
    let tier = 0;
    while (ticket >= (this.sums[tier] as number)) tier++;
    return tier;
  }

  /** Made once: a function for each request would be garbage. */
  private readonly isChosen = (position: number): boolean => this.found[position] === this.chosen;
}

/** @throws RangeError if the label is there and names no tier */
function tierOf({ address, labels }: Backend, label: string): number {
  const text = labels[label] ?? "0";
  const tier = Number(text);
  if (/^\d+$/.test(text) && tier < TIERS) return tier;
  throw new RangeError(
    `label ${label} of backend ${address} must be a whole number from 0 to ${TIERS - 1}, not "${text}"`,
  );
}

/** `priority`: tiers of backends, each for what those before it cannot serve. Options `label`, `overprovisioning`. */
export const priority = definePolicy({
  name: "priority",
  apiVersion: 1,
  options: z
    .strictObject({
      label: z.string().min(1).default("priority"),
      overprovisioning: z.number().min(1).default(1.4),
    })
    .prefault({}),
  choosesBy: "load",
  needs: { headers: [] },
  create: ({ label, overprovisioning }, env) => new Priority(label, overprovisioning, env),
});
