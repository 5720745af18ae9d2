import {
  type Candidates,
  definePolicy,
  type Policy,
  type PolicyEnv,
  type SelectContext,
  z,
} from "../../src/policy/index.js";
import { Balance, type Limits } from "../lard/balance.js";
import { TargetKey } from "../lard/key.js";
import { Marks } from "../lard/marks.js";
import { localityOptions, lowBelowHigh, lowNotBelowHigh } from "../lard/options.js";
import { LocalityTable, MOVES, NOTE } from "../lard/table.js";
import { watch } from "../lard/watch.js";
import { Lots } from "../lots.js";

/** Backends that a target can have. */
const MEMBERS = 12;

/** Cells of an entry: when its set changed last, then a mark for each member, 0 where there is none. */
const CHANGED = 0;
const MARKS = 1;
const VALUES = MARKS + MEMBERS;

/** When this thread's clock began, in whole milliseconds: differences are the same whenever that was. */
const ORIGIN = Math.round(performance.timeOrigin);

/** What the policy reads of a request head. */
interface Target {
  readonly host: string;
  readonly path: string;
  readonly target: string;
}

/** LARD with replication (README.md): a target has a set of backends, which grows under load and shrinks with time. */
class LardReplicated implements Policy {
  readonly close: () => void;
  private readonly key = new TargetKey();
  private readonly marks: Marks;
  private readonly balance: Balance;
  // Of the set at hand, as far as its members are candidates: how many there are, and who has most to do, and where in the entry it stands.
  private members = 0;
  private least = -1;
  private most = -1;
  private mostAt = 0;

  constructor(
    limits: Limits,
    private readonly shrinkAfter: number,
    private readonly query: boolean,
    private readonly table: LocalityTable,
    private readonly env: PolicyEnv,
  ) {
    this.marks = new Marks(env.backends);
    this.balance = new Balance(limits, new Lots(env.random));
    this.close = watch(
      env,
      table,
      () => this.balance.imbalanced(env.candidates()),
      () => this.outgrown(performance.now()),
    );
  }

  select(head: Target, candidates: Candidates, context: SelectContext): void {
    if (candidates.length === 0) return;
    const { key, table, balance } = this;
    balance.loads.take(candidates);
    key.take(head.host, this.query ? head.target : head.path);
    const entry = table.find(key.a, key.b);
    this.survey(entry, candidates);
    const { least } = this;
    const more = least < 0 ? balance.loads.least() : balance.relief(least);
    if (more < 0) {
      if (this.members > 1) this.shrink(entry, context.now);
      candidates.keep(least);
      return;
    }
    const added = this.add(
      entry < 0 ? table.add(key.a, key.b) : entry,
      this.marks.of(candidates.at(more)),
      candidates,
      context.now,
    );
    if (added && least >= 0) {
      table.set(MOVES, (table.get(MOVES) + 1) | 0);
      // This target and others of the same backend may be passing in the kernel.
      this.env.reconsider();
    }
    candidates.keep(added || least < 0 ? more : least);
  }

  /** Looks at the set of an entry. */
  private survey(entry: number, candidates: Candidates): void {
    const { table, marks } = this;
    const { loads } = this.balance;
    this.members = 0;
    this.least = -1;
    this.most = -1;
    for (let i = MARKS; entry >= 0 && i < VALUES; i++) {
      const mark = table.get(entry + i);
      const position = mark === 0 ? -1 : marks.find(mark, candidates);
      if (position < 0 || loads.weight(position) === 0) continue;
      this.members++;
      if (this.least < 0 || loads.compare(position, this.least) < 0) this.least = position;
      // The last of equals; `least` is the first of them.
      if (this.most >= 0 && loads.compare(position, this.most) < 0) continue;
      this.most = position;
      this.mostAt = i;
    }
  }

  /** Adds a member in a free place, or in that of one that is no candidate; false if there is no such place. */
  private add(entry: number, mark: number, candidates: Candidates, now: number): boolean {
    const { table } = this;
    let place = -1;
    for (let i = MARKS; i < VALUES; i++) {
      const other = table.get(entry + i);
      if (other === 0) {
        place = i;
        break;
      }
      if (place < 0 && this.marks.find(other, candidates) < 0) place = i;
    }
    if (place < 0) return false;
    table.set(entry + place, mark);
    this.changed(entry, now, this.members + 1);
    return true;
  }

  /** Removes the member with most to do from a set that has not changed for long enough. */
  private shrink(entry: number, now: number): void {
    const since = (common(now) - this.table.get(entry + CHANGED)) | 0;
    if (since <= this.shrinkAfter) return;
    this.table.set(entry + this.mostAt, 0);
    this.changed(entry, now, this.members - 1);
  }

  private changed(entry: number, now: number, members: number): void {
    this.table.set(entry + CHANGED, common(now));
    // 0 says that there are no larger sets.
    if (members > 1) this.table.set(NOTE, common(now) || 1);
  }

  /** Whether a set of several has not changed for long enough; says so once. */
  private outgrown(now: number): boolean {
    const last = this.table.get(NOTE);
    if (last === 0 || ((common(now) - last) | 0) <= this.shrinkAfter) return false;
    this.table.set(NOTE, 0);
    return true;
  }
}

/**
 * A time of this thread's monotonic clock as one that all threads have in common, whose clocks begin at different moments: milliseconds,
 * the lower 32 bits. Differences are right up to 24 days.
 */
function common(now: number): number {
  return Math.round(now + ORIGIN) | 0;
}

/** `lard-replicated`: LARD with replication of Pai et al. The options are in README.md. */
export const lardReplicated = definePolicy({
  name: "lard-replicated",
  apiVersion: 1,
  options: z
    .strictObject({ ...localityOptions, shrinkAfter: z.int().min(1).max(86_400_000).default(20_000) })
    .refine(lowBelowHigh, lowNotBelowHigh)
    .prefault({}),
  choosesBy: "target",
  needs: { headers: [] },
  sharedBytes: ({ entries }) => LocalityTable.bytes(entries, VALUES),
  create: ({ low, high, shrinkAfter, query, entries }, env) => {
    const table = LocalityTable.of(env.shared, entries, VALUES);
    return new LardReplicated({ low, high }, shrinkAfter, query, table, env);
  },
});
