import { afterEach, describe, expect, it, vi } from "vitest";
import { lard } from "../../policies/lard/index.js";
import { lardReplicated } from "../../policies/lard-replicated/index.js";
import {
  type FakeCandidates,
  fakeCandidates,
  fakeContext,
  fakeEnv,
  fakeHead,
  type Policy,
  type PolicyEnv,
  type PolicyModule,
  pick,
} from "../../src/policy/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";

const registry = new PolicyRegistry([lard, lardReplicated] as PolicyModule<unknown>[]);

function make(name: string, options?: unknown, env: Partial<PolicyEnv> = {}): Policy {
  const shared = new SharedArrayBuffer(registry.sharedBytes(name, options));
  return registry.createChain([{ name, options, shared: env.shared ?? shared }], fakeEnv(env));
}

/** Backends a, b, c, ... with these exchanges in flight. */
const loaded = (...active: number[]): FakeCandidates =>
  fakeCandidates(active.map((count, i) => ({ address: String.fromCharCode(97 + i), active: count })));

function load(candidates: FakeCandidates, ...active: number[]): void {
  active.forEach((count, i) => {
    candidates.set(String.fromCharCode(97 + i), { active: count });
  });
}

async function ask(policy: Policy, candidates: FakeCandidates, target = "/x", now = 0): Promise<string> {
  const chosen = await pick(policy, candidates, fakeHead({ target }), fakeContext({ now }));
  return chosen?.address ?? "-";
}

/** The policy has placed /x at `a`, which has nothing to do yet. */
async function placed(name: string, nodes: number, options?: unknown, env?: Partial<PolicyEnv>) {
  const policy = make(name, options, env);
  const candidates = loaded(...Array.from({ length: nodes }, (_, i) => i));
  expect(await ask(policy, candidates)).toBe("a");
  return { policy, candidates };
}

afterEach(() => {
  vi.useRealTimers();
});

describe.each(["lard", "lard-replicated"])("%s", (name) => {
  it("places a target where there is least to do, and leaves it there", async () => {
    const { policy, candidates } = await placed(name, 4);
    load(candidates, 65, 0, 0, 0);
    expect(await ask(policy, candidates)).toBe("a");
    expect(await ask(policy, candidates, "/y")).not.toBe("a");
  });

  it("goes elsewhere above T_high only if somebody is below T_low", async () => {
    const { policy, candidates } = await placed(name, 4);
    load(candidates, 66, 25, 26, 27);
    expect(await ask(policy, candidates)).toBe("a");
    load(candidates, 66, 26, 24, 27);
    expect(await ask(policy, candidates)).toBe("c");
  });

  it("goes elsewhere at twice T_high, whoever has little to do", async () => {
    const { policy, candidates } = await placed(name, 4);
    load(candidates, 129, 28, 27, 26);
    expect(await ask(policy, candidates)).toBe("a");
    load(candidates, 130, 28, 27, 26);
    expect(await ask(policy, candidates)).toBe("d");
  });

  it("lets the limits grow beyond the bound of admission", async () => {
    const { policy, candidates } = await placed(name, 4);
    // S is 219; with 590 in flight the limits are 2.69 times as high: 67, 175, 350.
    load(candidates, 200, 130, 130, 130);
    expect(await ask(policy, candidates)).toBe("a");
    // With 266: 30, 79, 158; one of the others has less than that, but this one has not more.
    load(candidates, 66, 90, 90, 20);
    expect(await ask(policy, candidates)).toBe("a");
    load(candidates, 1000, 1000, 1000, 1000);
    expect(await ask(policy, candidates)).toBe("a");
    // With 800: 91, 237, 475.
    load(candidates, 400, 150, 160, 90);
    expect(await ask(policy, candidates)).toBe("d");
  });

  it("takes its limits from the options", async () => {
    const { policy, candidates } = await placed(name, 3, { low: 2, high: 4 });
    load(candidates, 4, 1, 1);
    expect(await ask(policy, candidates)).toBe("a");
    load(candidates, 5, 2, 1);
    expect(await ask(policy, candidates)).toBe("c");
  });

  it("measures loads by weight, in units of the mean weight", async () => {
    const policy = make(name);
    const candidates = fakeCandidates([
      { address: "a", weight: 2 },
      { address: "b", weight: 1, active: 1 },
      { address: "c", weight: 1, active: 1 },
      { address: "d", weight: 0 },
    ]);
    expect(await ask(policy, candidates)).toBe("a");
    // The mean is 4/3, so 97 are a load of 64.7, and 18 one of 24.
    load(candidates, 97, 18, 19);
    expect(await ask(policy, candidates)).toBe("a");
    load(candidates, 98, 18, 19);
    expect(await ask(policy, candidates)).toBe("b");
  });

  it("lets another stand in for a backend that cannot be had, always the same, until it is back", async () => {
    const { policy, candidates } = await placed(name, 4);
    candidates.set("a", { eligible: false });
    load(candidates, 0, 2, 1, 3);
    expect(await ask(policy, candidates)).toBe("c");
    load(candidates, 0, 1, 2, 3);
    expect(await ask(policy, candidates)).toBe("c");
    candidates.set("a", { eligible: true });
    expect(await ask(policy, candidates)).toBe("a");
  });

  it("passes over a backend of weight 0", async () => {
    const { policy, candidates } = await placed(name, 3);
    candidates.set("a", { weight: 0 });
    load(candidates, 0, 1, 2);
    expect(await ask(policy, candidates)).toBe("b");
    candidates.set("a", { weight: 1 });
    expect(await ask(policy, candidates)).toBe("a");
  });

  it("keeps a home for each of several groups of candidates", async () => {
    const { policy, candidates } = await placed(name, 4);
    const zone = async (...names: string[]) => {
      for (const address of "abcd") candidates.set(address, { eligible: names.includes(address) });
      return ask(policy, candidates);
    };
    load(candidates, 0, 5, 1, 5);
    expect(await zone("c", "d")).toBe("c");
    load(candidates, 5, 0, 5, 0);
    expect([await zone("a", "b"), await zone("c", "d"), await zone("a", "b")]).toEqual(["a", "c", "a"]);
  });

  it("goes on when all that it remembers of a target is gone", async () => {
    const policy = make(name);
    const candidates = loaded(...Array.from({ length: 26 }, (_, i) => i));
    for (let i = 0; i < 26; i++) {
      const address = String.fromCharCode(97 + i);
      expect(await ask(policy, candidates)).toBe(address);
      candidates.set(address, { eligible: false });
    }
    expect(await ask(policy, candidates)).toBe("-");
    candidates.set("z", { eligible: true });
    candidates.set("m", { eligible: true });
    load(candidates, ...Array.from({ length: 26 }, () => 0));
    expect(await ask(policy, candidates)).toBe("z");
  });

  it("tells hosts apart, and queries unless told otherwise", async () => {
    const at = async (options: unknown, host: string, target: string) => {
      const { policy, candidates } = await placed(name, 3, options);
      load(candidates, 9, 1, 9);
      const first = await pick(policy, candidates, fakeHead({ target: "/t?a", host: "one.test" }));
      expect(first?.address).toBe("b");
      load(candidates, 9, 9, 1);
      return (await pick(policy, candidates, fakeHead({ target, host })))?.address;
    };
    expect(await at(undefined, "one.test", "/t?a")).toBe("b");
    expect(await at(undefined, "one.test", "/t?b")).toBe("c");
    expect(await at({ query: false }, "one.test", "/t?b")).toBe("b");
    expect(await at({ query: false }, "two.test", "/t?b")).toBe("c");
  });

  it("shares its table with the instances of other workers, and with those after a reload", async () => {
    const shared = new SharedArrayBuffer(registry.sharedBytes(name, undefined));
    await placed(name, 4, undefined, { shared });
    const candidates = loaded(9, 0, 0, 0);
    expect(await ask(make(name, undefined, { shared, worker: 1 }), candidates)).toBe("a");
    // The slot of `a` has passed to another backend.
    const others = fakeCandidates(["e", "b", "c", "d"].map((address, i) => ({ address, active: 4 - i })));
    expect(await ask(make(name, undefined, { shared, backends: others.backends }), others)).toBe("d");
  });

  it("has targets reconsidered when it sends one elsewhere", async () => {
    const reconsider = vi.fn();
    const { policy, candidates } = await placed(name, 4, undefined, { reconsider });
    candidates.set("a", { eligible: false });
    await ask(policy, candidates);
    candidates.set("a", { eligible: true });
    expect(reconsider).not.toHaveBeenCalled();
    // So has the one that stood in, which is a member of the set now.
    load(candidates, 66, 66, 66, 0);
    expect(await ask(policy, candidates)).toBe("d");
    expect(reconsider).toHaveBeenCalledTimes(1);
  });

  it("looks at the loads while nobody asks, in one worker, until it is closed", async () => {
    vi.useFakeTimers();
    const candidates = loaded(66, 25, 25);
    const reconsider = vi.fn();
    const env = { reconsider, candidates: () => candidates };
    const policies = [0, 1].map((worker) => make(name, undefined, { ...env, worker }));
    vi.advanceTimersByTime(10_000);
    expect(reconsider).not.toHaveBeenCalled();
    candidates.set("b", { active: 24 });
    vi.advanceTimersByTime(1_000);
    expect(reconsider).toHaveBeenCalledTimes(1);
    for (const policy of policies) policy.close?.();
    vi.advanceTimersByTime(100_000);
    expect(reconsider).toHaveBeenCalledTimes(1);
  });

  it("has requests come back less and less often while no target can move, and at once after one did", async () => {
    vi.useFakeTimers();
    const candidates = loaded(0, 1, 2);
    const calls: number[] = [];
    let second = 0;
    const reconsider = () => void calls.push(second);
    const all = () => {
      candidates.reset();
      return candidates;
    };
    const policy = make(name, undefined, { reconsider, candidates: all });
    const pass = (seconds: number) => {
      const end = second + seconds;
      while (second < end) {
        second++;
        vi.advanceTimersByTime(1000);
      }
      return calls.splice(0);
    };
    expect(await ask(policy, candidates)).toBe("a");
    load(candidates, 66, 66, 0);
    expect(pass(200)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 192]);
    load(candidates, 66, 0, 0);
    // It moves when it is asked about, which is a call, too.
    expect(await ask(policy, candidates, "/x", performance.now())).not.toBe("a");
    expect(calls.splice(0)).toEqual([200]);
    load(candidates, 66, 66, 0);
    expect(pass(10)).toEqual([201, 202, 204, 208]);
    policy.close?.();
  });

  it("refuses limits that are not in order, and a table without room", () => {
    expect(() => make(name, { low: 65 })).toThrow(/low: must be less than high/);
    expect(() => make(name, { entries: 0 })).toThrow(/entries/);
  });
});

describe("lard", () => {
  it("moves a target for good, and back only under load", async () => {
    const { policy, candidates } = await placed("lard", 3);
    load(candidates, 66, 1, 2);
    expect(await ask(policy, candidates)).toBe("b");
    load(candidates, 0, 65, 0);
    expect(await ask(policy, candidates)).toBe("b");
    // Where it was before is where it goes when its backend cannot be had.
    candidates.set("b", { eligible: false });
    load(candidates, 1, 0, 0);
    expect(await ask(policy, candidates)).toBe("a");
  });

  it("remembers who stood in, however often the target moves between two others", async () => {
    const { policy, candidates } = await placed("lard", 4);
    candidates.set("a", { eligible: false });
    load(candidates, 0, 2, 1, 2);
    expect(await ask(policy, candidates)).toBe("c");
    candidates.set("a", { eligible: true });
    for (let i = 0; i < 4; i++) {
      load(candidates, 66, 0, 1, 1);
      expect(await ask(policy, candidates)).toBe("b");
      load(candidates, 0, 66, 1, 1);
      expect(await ask(policy, candidates)).toBe("a");
    }
    for (const address of "ab") candidates.set(address, { eligible: false });
    load(candidates, 0, 0, 1, 0);
    expect(await ask(policy, candidates)).toBe("c");
  });

  it("has nowhere to go with one backend", async () => {
    const { policy, candidates } = await placed("lard", 1);
    load(candidates, 1000);
    expect(await ask(policy, candidates)).toBe("a");
  });
});

describe("lard-replicated", () => {
  /** /x is at a and b, since time 1000. */
  async function twice(env?: Partial<PolicyEnv>) {
    const { policy, candidates } = await placed("lard-replicated", 4, undefined, env);
    load(candidates, 66, 1, 2, 3);
    expect(await ask(policy, candidates, "/x", 1000)).toBe("b");
    return { policy, candidates };
  }

  it("sends requests to the member that has least to do", async () => {
    const { policy, candidates } = await twice();
    load(candidates, 5, 6, 0, 0);
    expect(await ask(policy, candidates, "/x", 2000)).toBe("a");
    load(candidates, 7, 6, 0, 0);
    expect(await ask(policy, candidates, "/x", 2000)).toBe("b");
  });

  it("adds a member only if all have too much to do", async () => {
    const { policy, candidates } = await twice();
    load(candidates, 66, 65, 0, 0);
    expect(await ask(policy, candidates, "/x", 2000)).toBe("b");
    load(candidates, 66, 67, 1, 0);
    expect(await ask(policy, candidates, "/x", 2000)).toBe("d");
    load(candidates, 2, 1, 0, 3);
    expect(await ask(policy, candidates, "/x", 2000)).toBe("b");
  });

  it("drops the busiest member of a set that has not changed for K", async () => {
    const { policy, candidates } = await twice();
    load(candidates, 9, 5, 0, 0);
    expect(await ask(policy, candidates, "/x", 21_000)).toBe("b");
    load(candidates, 5, 9, 0, 0);
    expect(await ask(policy, candidates, "/x", 21_000)).toBe("a");
    // Now this request still goes to the least busy one, and `a` is out.
    load(candidates, 9, 5, 0, 0);
    expect(await ask(policy, candidates, "/x", 21_001)).toBe("b");
    load(candidates, 0, 5, 0, 0);
    expect(await ask(policy, candidates, "/x", 21_002)).toBe("b");
    load(candidates, 0, 66, 0, 9);
    expect(await ask(policy, candidates, "/x", 21_003)).toMatch(/[ac]/);
  });

  it("drops one member at a time, and never the last", async () => {
    const { policy, candidates } = await twice();
    load(candidates, 66, 67, 0, 1);
    expect(await ask(policy, candidates, "/x", 2000)).toBe("c");
    load(candidates, 3, 2, 1, 0);
    expect(await ask(policy, candidates, "/x", 30_000)).toBe("c");
    load(candidates, 0, 1, 2, 0);
    // `a` went, `b` and `c` are still there.
    expect(await ask(policy, candidates, "/x", 30_001)).toBe("b");
    load(candidates, 0, 2, 1, 0);
    expect(await ask(policy, candidates, "/x", 30_002)).toBe("c");
    load(candidates, 0, 1, 2, 0);
    expect(await ask(policy, candidates, "/x", 60_000)).toBe("b");
    load(candidates, 0, 9, 0, 0);
    for (const now of [60_001, 90_000, 120_000]) expect(await ask(policy, candidates, "/x", now)).toBe("b");
  });

  it("has at most twelve members, and has nothing reconsidered when it can add none", async () => {
    const reconsider = vi.fn();
    const { policy, candidates } = await placed("lard-replicated", 14, undefined, { reconsider });
    const seen = new Set<string>();
    for (let round = 0; round < 40; round++) {
      const busy = Array.from({ length: 14 }, (_, i) => (seen.has(String.fromCharCode(97 + i)) ? 66 : 0));
      load(candidates, ...busy);
      seen.add(await ask(policy, candidates));
    }
    expect(seen.size).toBe(12);
    expect(reconsider).toHaveBeenCalledTimes(11);
  });

  it("has targets reconsidered once when sets may shrink", async () => {
    vi.useFakeTimers();
    const reconsider = vi.fn();
    const candidates = loaded(0, 0, 0);
    const policy = make("lard-replicated", undefined, { reconsider, candidates: () => candidates });
    candidates.set("b", { active: 1 });
    candidates.set("c", { active: 1 });
    expect(await ask(policy, candidates, "/x", performance.now())).toBe("a");
    load(candidates, 66, 1, 2);
    expect(await ask(policy, candidates, "/x", performance.now())).toBe("b");
    reconsider.mockClear();
    load(candidates, 0, 1, 2);
    vi.advanceTimersByTime(19_000);
    expect(reconsider).not.toHaveBeenCalled();
    vi.advanceTimersByTime(60_000);
    expect(reconsider).toHaveBeenCalledTimes(1);
    policy.close?.();
  });
});
