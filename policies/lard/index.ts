import { type Candidates, definePolicy, type Policy, type PolicyEnv, z } from "../../src/policy/index.js";
import { Lots } from "../lots.js";
import { Balance, type Limits } from "./balance.js";
import { TargetKey } from "./key.js";
import { Marks } from "./marks.js";
import { localityOptions, lowBelowHigh, lowNotBelowHigh } from "./options.js";
import { LocalityTable, MOVES } from "./table.js";
import { watch } from "./watch.js";

/** Backends that the table remembers of a target. */
const HOMES = 5;

/** What the policy reads of a request head. */
interface Target {
  readonly host: string;
  readonly path: string;
  readonly target: string;
}

/**
 * Locality-aware request distribution (README.md): a target stays with its backend until that one has too much to do. An entry of the table
 * is a list of the target's backends; the first that is a candidate has it, the ones behind it stand in.
 */
class Lard implements Policy {
  readonly close: () => void;
  private readonly key = new TargetKey();
  private readonly marks: Marks;
  private readonly balance: Balance;

  constructor(
    limits: Limits,
    private readonly query: boolean,
    private readonly table: LocalityTable,
    private readonly env: PolicyEnv,
  ) {
    this.marks = new Marks(env.backends);
    this.balance = new Balance(limits, new Lots(env.random));
    this.close = watch(env, table, () => this.balance.imbalanced(env.candidates()));
  }

  select(head: Target, candidates: Candidates): void {
    if (candidates.length === 0) return;
    const { key, table, balance } = this;
    balance.loads.take(candidates);
    key.take(head.host, this.query ? head.target : head.path);
    const entry = table.find(key.a, key.b);
    let home = -1;
    let rank = 0;
    for (; entry >= 0 && rank < HOMES; rank++) {
      const mark = table.get(entry + rank);
      if (mark === 0) break;
      home = this.usable(mark, candidates);
      if (home >= 0) break;
    }
    const next = home < 0 ? balance.loads.least() : balance.relief(home);
    if (next < 0) {
      candidates.keep(home);
      return;
    }
    if (home >= 0) {
      table.set(MOVES, (table.get(MOVES) + 1) | 0);
      // Other targets of the same backend may be passing in the kernel.
      this.env.reconsider();
    }
    this.insert(entry < 0 ? table.add(key.a, key.b) : entry, rank, this.marks.of(candidates.at(next)));
    candidates.keep(next);
  }

  /** The position of the candidate with this mark; -1 if there is none, or only one of weight 0. */
  private usable(mark: number, candidates: Candidates): number {
    const position = this.marks.find(mark, candidates);
    return position >= 0 && this.balance.loads.weight(position) > 0 ? position : -1;
  }

  /** Puts a mark into the list of an entry; who stood there, and all behind it, move on by one. */
  private insert(entry: number, rank: number, mark: number): void {
    const { table } = this;
    if (rank === HOMES) {
      // Nobody of a full list can be had. The first has been away the longest.
      for (let i = 1; i < HOMES; i++) table.set(entry + i - 1, table.get(entry + i));
      table.set(entry + HOMES - 1, mark);
      return;
    }
    let carried = mark;
    for (let i = rank; i < HOMES && carried !== 0; i++) {
      const before = table.get(entry + i);
      table.set(entry + i, carried);
      if (before === mark) return;
      carried = before;
    }
  }
}

/** `lard`: locality-aware request distribution of Pai et al. The options are in README.md. */
export const lard = definePolicy({
  name: "lard",
  apiVersion: 1,
  options: z.strictObject(localityOptions).refine(lowBelowHigh, lowNotBelowHigh).prefault({}),
  choosesBy: "target",
  needs: { headers: [] },
  sharedBytes: ({ entries }) => LocalityTable.bytes(entries, HOMES),
  create: ({ low, high, entries, query }, env) => {
    return new Lard({ low, high }, query, LocalityTable.of(env.shared, entries, HOMES), env);
  },
});
