import {
  type Backend,
  type Candidates,
  definePolicy,
  type Policy,
  type SelectContext,
  z,
} from "../../src/policy/index.js";
import { BackendNumbers } from "../by-slot.js";
import { EvenLots } from "../even-lots.js";
import { TextHash } from "../hashing/text-hash.js";

/** Narrows to the candidates of one group; which one is drawn by the groups' shares. */
class WeightedSplit implements Policy {
  private readonly groups: BackendNumbers;
  private readonly shares: Float64Array;
  /** Which groups can be drawn this time: 1 or 0. */
  private readonly present: Uint8Array;
  /** By group: the sum of the shares that can be drawn, up to and with its own. */
  private readonly sums: Float64Array;
  private readonly client = new TextHash();
  /** The candidates' groups, by position. */
  private found = new Int32Array(16);
  private chosen = 0;

  constructor(
    label: string,
    shares: Readonly<Record<string, number>>,
    private readonly sticky: boolean,
    private readonly lots: EvenLots,
    backends: readonly Backend[],
  ) {
    const names = Object.keys(shares);
    this.groups = new BackendNumbers(backends, ({ labels }) => names.indexOf(labels[label] ?? ""));
    this.shares = Float64Array.from(Object.values(shares));
    this.present = new Uint8Array(names.length);
    this.sums = new Float64Array(names.length);
  }

  select(_head: unknown, candidates: Candidates, context: SelectContext): void {
    this.look(candidates);
    this.chosen = this.groupAt(this.sticky ? this.placeOf(context.clientAddress) : this.lots.draw());
    if (this.chosen < 0) return;
    candidates.filter(this.isChosen);
  }

  /** Finds out which groups can be drawn. */
  private look(candidates: Candidates): void {
    const even = candidates.totalWeight() === 0;
    if (candidates.length > this.found.length) this.found = new Int32Array(2 * candidates.length);
    this.present.fill(0);
    this.groups.take(candidates);
    for (let i = 0; i < candidates.length; i++) {
      const group = this.groups.at(candidates, i);
      this.found[i] = group;
      if (group < 0 || this.present[group] === 1) continue;
      if (even || candidates.weight(i) > 0) this.present[group] = 1;
    }
    let sum = 0;
    for (let group = 0; group < this.shares.length; group++) {
      if (this.present[group] === 1) sum += this.shares[group] as number;
      this.sums[group] = sum;
    }
  }

  /** The group at a place of `EvenLots`; -1 if none has a share. */
  private groupAt(place: number): number {
    const ticket = (place / EvenLots.count) * (this.sums[this.sums.length - 1] as number);
    for (let group = 0; group < this.sums.length; group++) {
      if (ticket < (this.sums[group] as number)) return group;
    }
    return -1;
  }

  /** Always the same for a client, as `EvenLots.draw` in all else. */
  private placeOf(client: string): number {
    this.client.take(client);
    return (this.client.a >>> 0) % EvenLots.count;
  }

  /** Made once: a function for each request would be garbage. */
  private readonly isChosen = (position: number): boolean => this.found[position] === this.chosen;
}

const options = z.strictObject({
  label: z.string().min(1).default("version"),
  shares: z
    .record(z.string(), z.number().nonnegative())
    .refine((shares) => Object.values(shares).some((share) => share > 0), {
      message: "at least one share must be above 0",
    }),
  sticky: z.boolean().default(false),
});

/** `weighted-split`: shares of the traffic for groups of backends. Options `label`, `shares`, `sticky`. */
export const weightedSplit = definePolicy({
  name: "weighted-split",
  apiVersion: 1,
  // Without options it is the shares that are missing.
  options: z.preprocess((given) => given ?? {}, options),
  choosesBy: ({ sticky }) => (sticky ? "client" : "load"),
  needs: { headers: [] },
  create: ({ label, shares, sticky }, env) =>
    new WeightedSplit(label, shares, sticky, new EvenLots(env.random), env.backends),
});
