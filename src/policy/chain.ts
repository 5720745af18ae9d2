// The global of that name is an accessor, which is asked anew at each call.
import { performance } from "node:perf_hooks";
import type { Candidates } from "./candidates.js";
import { isThenable } from "./thrown.js";
import type { ExchangeSummary, Policy, RequestHead, SelectContext } from "./types.js";

/** How long one policy may take, milliseconds. An asynchronous one that takes longer is left out. */
export const POLICY_BUDGET_MS = 50;

/** A policy instance and its name. */
export interface ChainLink {
  readonly name: string;
  readonly policy: Policy;
}

/** What went wrong or out of the ordinary since the chain was made. */
export interface PolicyCounters {
  /** Calls that threw or rejected. */
  errors: number;
  /**
   * Calls that took more than the budget. Synchronous ones were obeyed all the same: their answer is there, and the time may have been
   * taken by whatever else the machine does.
   */
  late: number;
  /** Calls that left no candidate without `refuse`. */
  emptied: number;
}

/** What can go wrong with a call; the names of the counters in the singular. */
export type PolicyProblem = "error" | "late" | "emptied";

/** Settings of a chain, with defaults for all of them. */
export interface ChainOptions {
  /**
   * Told about the 1st, 2nd, 4th, 8th ... problem of a policy, so a policy that fails always does not flood
   * the log.
   */
  readonly report?: (policy: string, problem: PolicyProblem, detail: unknown, times: number) => void;
  /** Monotonic milliseconds. */
  readonly clock?: () => number;
  readonly budgetMs?: number;
}

/** A context that can take back what a policy added to the response, so that one which is skipped adds nothing. */
export interface ChainContext extends SelectContext {
  /** Fields that were added so far. */
  readonly added?: number;
  /** Forgets all but the first so many. */
  keepAdded?(count: number): void;
}

const monotonic = () => performance.now();

/**
 * The policies of a pool, in order. Each narrows what the ones before it left; after the last one, the first
 * candidate is used. A policy that fails is skipped, as if the configuration did not name it for this request.
 */
export class PolicyChain {
  readonly counters: PolicyCounters = { errors: 0, late: 0, emptied: 0 };
  /** False if nobody listens, so that native code need not report the end of exchanges. */
  readonly hasOnDone: boolean;
  private readonly problems: number[];
  private readonly report: ChainOptions["report"];
  private readonly clock: () => number;
  private readonly budgetMs: number;

  constructor(
    private readonly links: readonly ChainLink[],
    options: ChainOptions = {},
  ) {
    this.hasOnDone = links.some((link) => link.policy.onDone !== undefined);
    this.problems = links.map(() => 0);
    this.report = options.report;
    this.clock = options.clock ?? monotonic;
    this.budgetMs = options.budgetMs ?? POLICY_BUDGET_MS;
  }

  /**
   * Narrows `candidates`. Never throws and never rejects. If it returns a promise, a policy is asynchronous:
   * the caller must leave `head`, `candidates` and `context` alone until it settles, read the result at once
   * then, and never use the objects again: a late policy may still hold them.
   */
  select(head: RequestHead, candidates: Candidates, context: ChainContext): void | Promise<void> {
    // Whoever refused the request before has nothing to do with this one.
    candidates.restore(candidates.length);
    for (let i = 0; i < this.links.length && candidates.length > 0; i++) {
      const before = candidates.length;
      const added = context.added ?? 0;
      const pending = this.call(i, head, candidates, context);
      if (pending !== undefined) return this.finish(i, pending, before, added, head, candidates, context);
    }
  }

  /** Passes the end of an exchange to the policies that want to know. Never throws. */
  onDone(summary: ExchangeSummary): void {
    for (let i = 0; i < this.links.length; i++) {
      const { policy } = this.links[i] as ChainLink;
      if (policy.onDone === undefined) continue;
      try {
        const pending: unknown = policy.onDone(summary);
        // Declared void, but an async function is a likely slip; its rejection would end the worker.
        if (isThenable(pending)) pending.then(undefined, (error: unknown) => this.failed(i, error));
      } catch (error) {
        this.failed(i, error);
      }
    }
  }

  /** Closes every policy. Never throws. */
  close(): void {
    for (let i = 0; i < this.links.length; i++) {
      try {
        const pending: unknown = (this.links[i] as ChainLink).policy.close?.();
        // As with `onDone`.
        if (isThenable(pending)) pending.then(undefined, (error: unknown) => this.failed(i, error));
      } catch (error) {
        this.failed(i, error);
      }
    }
  }

  /** Runs the synchronous part of a policy; returns its promise if there is more to come. */
  private call(
    index: number,
    head: RequestHead,
    candidates: Candidates,
    context: ChainContext,
  ): Promise<void> | undefined {
    const before = candidates.length;
    const added = context.added ?? 0;
    const started = this.clock();
    try {
      const pending = (this.links[index] as ChainLink).policy.select(head, candidates, context);
      if (isThenable(pending)) return pending;
      this.check(index, candidates, before, context, added);
    } catch (error) {
      undo(candidates, before, context, added);
      this.failed(index, error);
    }
    const took = this.clock() - started;
    if (took > this.budgetMs) this.late(index, took);
    return undefined;
  }

  /** Undoes what a policy did if it left nobody, and did not say that it meant to. */
  private check(
    index: number,
    candidates: Candidates,
    before: number,
    context: ChainContext,
    added: number,
  ): void {
    if (candidates.length > 0 || candidates.refused) return;
    undo(candidates, before, context, added);
    this.counters.emptied++;
    this.tell(index, "emptied", "it left no backend");
  }

  /** The rest of a chain whose policy `index` returned a promise. */
  private async finish(
    index: number,
    first: Promise<void>,
    firstBefore: number,
    firstAdded: number,
    head: RequestHead,
    candidates: Candidates,
    context: ChainContext,
  ): Promise<void> {
    let view = candidates;
    let pending: Promise<void> | undefined = first;
    let before = firstBefore;
    let added = firstAdded;
    for (let i = index; ; ) {
      if (pending !== undefined && !(await this.settle(i, pending))) {
        undo(view, before, context, added);
        // The policy still holds this view, and may narrow it while the others work.
        view = view.fork();
      } else if (pending !== undefined) {
        this.check(i, view, before, context, added);
      }
      if (++i >= this.links.length || view.length === 0) break;
      before = view.length;
      added = context.added ?? 0;
      pending = this.call(i, head, view, context);
    }
    if (view !== candidates) candidates.adopt(view);
  }

  /** Waits for a policy within its budget. True if it kept it and did not fail. */
  private async settle(index: number, pending: Promise<void>): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const budget = new Promise<"late">((resolve) => {
      timer = setTimeout(resolve, this.budgetMs, "late");
    });
    try {
      // A rejection after the budget is marked as handled by the race itself.
      if ((await Promise.race([pending, budget])) !== "late") return true;
      this.late(index, this.budgetMs);
    } catch (error) {
      this.failed(index, error);
    } finally {
      clearTimeout(timer);
    }
    return false;
  }

  private failed(index: number, error: unknown): void {
    this.counters.errors++;
    this.tell(index, "error", error);
  }

  private late(index: number, milliseconds: number): void {
    this.counters.late++;
    this.tell(index, "late", milliseconds);
  }

  private tell(index: number, problem: PolicyProblem, detail: unknown): void {
    const times = (this.problems[index] as number) + 1;
    this.problems[index] = times;
    if ((times & (times - 1)) === 0) {
      this.report?.((this.links[index] as ChainLink).name, problem, detail, times);
    }
  }
}

/** As if the policy had not been asked. */
function undo(candidates: Candidates, length: number, context: ChainContext, added: number): void {
  candidates.restore(length);
  context.keepAdded?.(added);
}
