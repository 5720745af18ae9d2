import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type ChainLink, type ChainOptions, PolicyChain } from "../../src/policy/chain.js";
import {
  type Candidates,
  fakeCandidates,
  fakeContext,
  fakeHead,
  fakeSummary,
  type Policy,
} from "../../src/policy/index.js";

const abc = () => fakeCandidates([{ address: "a" }, { address: "b" }, { address: "c" }]);
const without = (...addresses: string[]) => ({
  select: (_head: unknown, candidates: Candidates) =>
    candidates.filter((i) => !addresses.includes(candidates.at(i).address)),
});
const later = (milliseconds: number, policy: Policy): Policy => ({
  select: async (head, candidates, context) => {
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    await policy.select(head, candidates, context);
  },
});
const broken: Policy = {
  select: (_head, candidates) => {
    candidates.keep(2);
    throw new Error("broken");
  },
};

function chainOf(policies: readonly Policy[], options?: ChainOptions): PolicyChain {
  const links: ChainLink[] = policies.map((policy, i) => ({ name: `p${i}`, policy }));
  return new PolicyChain(links, options);
}

const select = (chain: PolicyChain, candidates: Candidates) =>
  chain.select(fakeHead(), candidates, fakeContext());

/** For chains without an asynchronous policy, which must not make anybody wait. */
function selectNow(chain: PolicyChain, candidates: Candidates): void {
  expect(select(chain, candidates)).toBeUndefined();
}

/** Keeps what policies add. */
class Added {
  readonly fields: string[] = [];
  readonly now = 0;
  readonly clientAddress = "";
  readonly attempt = 0;
  get added(): number {
    return this.fields.length;
  }
  addResponseHeader(name: string): void {
    this.fields.push(name);
  }
  keepAdded(count: number): void {
    this.fields.length = count;
  }
}

/** Adds a field of that name, and then does what the other one does. */
const adding = (name: string, policy: Policy): Policy => ({
  select: (head, candidates, context) => {
    context.addResponseHeader(name, "");
    return policy.select(head, candidates, context);
  },
});

describe("what a policy adds to the response", () => {
  const nobody: Policy = { select: (_head, candidates) => candidates.filter(() => false) };
  const refusing: Policy = { select: (_head, candidates) => candidates.refuse() };

  it("is taken back if the policy is skipped, and only then", async () => {
    const well = without("a");
    const policies = [
      adding("1", well),
      adding("2", broken),
      adding("3", nobody),
      adding("4", later(1, well)),
      adding("5", later(1, broken)),
      adding("6", later(2_000, well)),
      adding("7", later(1, nobody)),
      adding("8", well),
    ];
    const context = new Added();
    await chainOf(policies, { budgetMs: 500 }).select(fakeHead(), abc(), context);
    expect(context.fields).toEqual(["1", "4", "8"]);
  });

  it("stays when it refuses the request", () => {
    const context = new Added();
    void chainOf([adding("1", refusing)]).select(fakeHead(), abc(), context);
    expect(context.fields).toEqual(["1"]);
  });
});

describe("a chain of synchronous policies", () => {
  it("lets each policy narrow what the one before left, without a promise", () => {
    const candidates = abc();
    const seen: number[] = [];
    const watching = { select: (_head: unknown, left: Candidates) => void seen.push(left.length) };
    selectNow(chainOf([watching, without("a"), watching, without("b"), watching]), candidates);
    expect(seen).toEqual([3, 2, 1]);
    expect(candidates.addresses()).toEqual(["c"]);
  });

  it("skips a policy that throws, and undoes its narrowing", () => {
    const candidates = abc();
    const chain = chainOf([broken, without("c")]);
    selectNow(chain, candidates);
    expect(candidates.addresses().sort()).toEqual(["a", "b"]);
    expect(chain.counters).toEqual({ errors: 1, late: 0, emptied: 0 });
  });

  it("skips a policy that leaves nobody", () => {
    const candidates = abc();
    const report = vi.fn();
    const chain = chainOf([without("a", "b", "c"), without("b")], { report });
    selectNow(chain, candidates);
    expect(candidates.addresses().sort()).toEqual(["a", "c"]);
    expect(chain.counters).toEqual({ errors: 0, late: 0, emptied: 1 });
    expect(report.mock.calls).toEqual([["p0", "emptied", "it left no backend", 1]]);
  });

  it("obeys one that refuses the request, asks nobody else, and asks again for the next request", () => {
    const candidates = abc();
    const last = { select: vi.fn() };
    const refusing = { select: (_head: unknown, left: Candidates) => left.refuse() };
    const chain = chainOf([refusing, last]);
    for (let request = 0; request < 2; request++) {
      candidates.reset();
      selectNow(chain, candidates);
      expect(candidates.length).toBe(0);
    }
    expect(last.select).not.toHaveBeenCalled();
    expect(chain.counters).toEqual({ errors: 0, late: 0, emptied: 0 });
    // That others refused before is no excuse.
    candidates.reset();
    selectNow(chainOf([without("a", "b", "c")]), candidates);
    expect(candidates.length).toBe(3);
  });

  it("obeys a slow policy but counts it", () => {
    let now = 0;
    const slow: Policy = {
      select: (_head, candidates) => {
        now += 51;
        candidates.keep(1);
      },
    };
    const candidates = abc();
    const chain = chainOf([slow, without("x")], { clock: () => now });
    selectNow(chain, candidates);
    expect(candidates.addresses()).toEqual(["b"]);
    expect(chain.counters).toEqual({ errors: 0, late: 1, emptied: 0 });
  });

  it("reports the 1st, 2nd, 4th, 8th ... problem of each policy", () => {
    const report = vi.fn();
    const chain = chainOf([broken, without("x")], { report });
    for (let i = 0; i < 20; i++) selectNow(chain, abc());
    expect(chain.counters.errors).toBe(20);
    expect(report.mock.calls.map(([, , , times]) => times)).toEqual([1, 2, 4, 8, 16]);
    expect(report.mock.calls[0]).toEqual(["p0", "error", new Error("broken"), 1]);
  });
});

describe("a chain with asynchronous policies", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("waits for a policy within its budget", async () => {
    const candidates = abc();
    const chain = chainOf([without("a"), later(49, without("b")), without("x")]);
    const result = select(chain, candidates);
    expect(result).toBeInstanceOf(Promise);
    await vi.advanceTimersByTimeAsync(49);
    await result;
    expect(candidates.addresses()).toEqual(["c"]);
    expect(chain.counters).toEqual({ errors: 0, late: 0, emptied: 0 });
    expect(vi.getTimerCount()).toBe(0);
  });

  it("skips a policy that rejects, and undoes its narrowing", async () => {
    const candidates = abc();
    const chain = chainOf([later(1, broken), later(1, without("a"))]);
    const result = select(chain, candidates);
    await vi.advanceTimersByTimeAsync(2);
    await result;
    expect(candidates.addresses().sort()).toEqual(["b", "c"]);
    expect(chain.counters).toEqual({ errors: 1, late: 0, emptied: 0 });
  });

  it("goes on without a late policy, whatever that one does afterwards", async () => {
    const candidates = abc();
    const chain = chainOf([later(60, without("a", "b", "c")), later(20, without("c"))]);
    const result = select(chain, candidates);
    // At 60 ms the late policy empties its view while the second one, due at 70, is still at work.
    await vi.advanceTimersByTimeAsync(70);
    await result;
    expect(candidates.addresses()).toEqual(["a", "b"]);
    expect(chain.counters).toEqual({ errors: 0, late: 1, emptied: 0 });
  });

  it("does not leave the rejection of a late policy unhandled", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    const result = select(chainOf([later(60, broken)]), abc());
    await vi.advanceTimersByTimeAsync(100);
    await result;
    vi.useRealTimers();
    await new Promise((resolve) => setTimeout(resolve, 5));
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it("skips a policy that leaves nobody, and obeys one that refuses", async () => {
    const candidates = abc();
    const last = { select: vi.fn() };
    const refusing = { select: (_head: unknown, left: Candidates) => left.refuse() };
    const chain = chainOf([later(1, without("a", "b", "c")), last, later(1, refusing), last]);
    const result = select(chain, candidates);
    await vi.advanceTimersByTimeAsync(2);
    await result;
    expect(candidates.length).toBe(0);
    expect(last.select).toHaveBeenCalledTimes(1);
    expect(chain.counters).toEqual({ errors: 0, late: 0, emptied: 1 });
  });
});

describe("the end of an exchange and of a chain", () => {
  const summary = fakeSummary(
    { slot: 0, address: "a", weight: 1, labels: {} },
    { headMicros: 1, totalMicros: 2, bytes: 3 },
  );

  it("is told to those who listen, even if one of them fails", () => {
    const failing = {
      ...without(),
      onDone: () => {
        throw new Error("x");
      },
      close: () => {
        throw new Error("y");
      },
    };
    const listening = { ...without(), onDone: vi.fn(), close: vi.fn() };
    const chain = chainOf([failing, without(), listening]);
    expect(chain.hasOnDone).toBe(true);
    chain.onDone(summary);
    chain.close();
    expect(listening.onDone).toHaveBeenCalledWith(summary);
    expect(listening.close).toHaveBeenCalledOnce();
    expect(chain.counters.errors).toBe(2);
  });

  it("may take a while, and fail then", async () => {
    const fails = async () => Promise.reject(new Error("x"));
    const chain = chainOf([{ ...without(), close: fails as () => void }]);
    chain.close();
    // An unhandled rejection would end the thread.
    await expect.poll(() => chain.counters.errors).toBe(1);
  });

  it("needs no call if nobody listens", () => {
    expect(chainOf([without(), without()]).hasOnDone).toBe(false);
  });
});
