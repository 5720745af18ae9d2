import {
  type Backend,
  type Candidates,
  definePolicy,
  type Policy,
  type PolicyEnv,
  type RequestHead,
  type SelectContext,
  type z,
} from "../../src/policy/index.js";
import { BackendNumbers } from "../by-slot.js";
import { Memo } from "../memo.js";
import { options } from "./options.js";
import { NOWHERE, Zones } from "./zones.js";

/** Clients whose zones are remembered, at least. */
const CLIENTS = 8192;

type Options = z.output<typeof options>;

/** Narrows to the backends of the zone nearest to the client that has room (README.md). */
class Nearest implements Policy {
  private readonly zoneOfClient: Memo<number>;
  private readonly zoneOfBackend: BackendNumbers;
  /** By the zone of the client: all zones, the nearest first, then the backends of none. */
  private readonly orders: readonly Int32Array[];
  /** Of the candidates, by zone. */
  private readonly active: Int32Array;
  private readonly weight: Int32Array;
  private readonly spillAbove: number;
  private readonly spills: boolean;
  /** Zones of the candidates at hand, by position, and the one that is chosen. */
  private zoneAt = new Int32Array(16);
  private chosen = NOWHERE;

  constructor(
    private readonly options: Options,
    env: PolicyEnv,
  ) {
    const zones = new Zones(options.zones, options.database);
    const unlabelled = zones.names.length;
    this.zoneOfClient = new Memo(CLIENTS, (address) => zones.of(address));
    this.zoneOfBackend = new BackendNumbers(env.backends, (backend) => this.zoneOf(backend, zones.names));
    this.orders = zones.names.map((_, zone) => Int32Array.from([...zones.order(zone), unlabelled]));
    this.active = new Int32Array(unlabelled + 1);
    this.weight = new Int32Array(unlabelled + 1);
    this.spillAbove = options.spillAbove ?? Number.POSITIVE_INFINITY;
    this.spills = options.spillAbove !== undefined;
  }

  select(_head: RequestHead, candidates: Candidates, context: SelectContext): void {
    const zone = this.zoneOfClient.answer(context.clientAddress);
    if (zone === NOWHERE) return;
    this.chosen = this.choose(this.orders[zone] as Int32Array, candidates);
    if (this.chosen !== NOWHERE) candidates.filter(this.isChosen);
  }

  /** The first zone in the order that has room; `NOWHERE` if none has. */
  private choose(order: Int32Array, candidates: Candidates): number {
    // If nobody has a weight, all are alike.
    const heaviest = this.sumUp(candidates, false) || this.sumUp(candidates, true);
    for (let rank = 0; rank < order.length; rank++) {
      const zone = order[rank] as number;
      const weight = this.weight[zone] as number;
      if (weight === 0) continue;
      // Exchanges per backend, if all had the weight of the heaviest one.
      if (((this.active[zone] as number) * heaviest) / weight < this.spillAbove) return zone;
    }
    return NOWHERE;
  }

  /** Sums weights and exchanges of the candidates by zone; the largest weight. With `even` as if all weights were the same. */
  private sumUp(candidates: Candidates, even: boolean): number {
    this.active.fill(0);
    this.weight.fill(0);
    this.zoneOfBackend.take(candidates);
    const count = candidates.length;
    if (count > this.zoneAt.length) this.zoneAt = new Int32Array(2 * count);
    let heaviest = 0;
    for (let i = 0; i < count; i++) {
      const zone = this.zoneOfBackend.at(candidates, i);
      this.zoneAt[i] = zone;
      const weight = even ? 1 : candidates.weight(i);
      if (weight === 0) continue;
      this.weight[zone] = (this.weight[zone] as number) + weight;
      if (this.spills) this.active[zone] = (this.active[zone] as number) + candidates.active(i);
      if (weight > heaviest) heaviest = weight;
    }
    return heaviest;
  }

  /** Made once: a function for each choice would be garbage. */
  private readonly isChosen = (position: number): boolean => this.zoneAt[position] === this.chosen;

  private zoneOf({ address, labels }: Backend, names: readonly string[]): number {
    const { label } = this.options;
    const name = labels[label];
    if (name === undefined) return names.length;
    const zone = names.indexOf(name);
    if (zone >= 0) return zone;
    throw new RangeError(`label "${label}" of ${address} names "${name}", the zones are ${names.join(", ")}`);
  }
}

/** `nearest`: narrows to the backends of the zone nearest to the client. Options: README.md. */
export const nearest = definePolicy({
  name: "nearest",
  apiVersion: 1,
  options,
  choosesBy: "client",
  needs: { headers: [] },
  create: (chosen, env) => new Nearest(chosen, env),
});
