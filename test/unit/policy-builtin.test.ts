import { describe, expect, it } from "vitest";
import { builtinPolicies } from "../../policies/index.js";
import {
  type FakeBackend,
  type FakeCandidates,
  fakeCandidates,
  fakeContext,
  fakeEnv,
  fakeHead,
  type Policy,
  type PolicyEnv,
  type PolicyModule,
  pick,
  type SelectContext,
  spread,
} from "../../src/policy/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";

const registry = new PolicyRegistry(builtinPolicies);
const PICKS = 100_000;

/** These only narrow, so another one chooses among what they leave. */
const narrowing: ReadonlySet<string> = new Set(["content-type", "nearest", "weighted-split", "priority"]);
/** Options without which a policy cannot be. */
const required: Readonly<Record<string, unknown>> = {
  nearest: { zones: { near: {} } },
  "weighted-split": { shares: { v1: 1 } },
  "header-hash": { header: "x-user" },
  "cookie-sticky": { secret: "a secret of this test" },
};

function make(name: string, options?: unknown, env: Partial<PolicyEnv> = {}): Policy {
  // A chain of one is a policy, and gets its options checked on the way.
  const specs = [{ name, options: options ?? required[name] }];
  if (narrowing.has(name)) specs.push({ name: "round-robin", options: undefined });
  return registry.createChain(specs, fakeEnv(env));
}

/** The policy itself, without a chain around it. */
function bare(name: string, options = required[name], fakes: readonly FakeBackend[] = []): Policy {
  const module = registry.get(name) as PolicyModule<unknown>;
  const { value } = module.options["~standard"].validate(options) as { value: unknown };
  return module.create(value, fakeEnv({ backends: fakeCandidates(fakes).backends }));
}

const backends = (weights: Record<string, number>): FakeBackend[] =>
  Object.entries(weights).map(([address, weight]) => ({ address, weight }));

async function sequence(policy: Policy, candidates: FakeCandidates, times: number): Promise<string> {
  let out = "";
  for (let i = 0; i < times; i++) out += (await pick(policy, candidates))?.address ?? "-";
  return out;
}

/** Every share within 2 % of what the weights promise. */
function expectShares(counts: Record<string, number>, weights: Record<string, number>): void {
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
  for (const [address, weight] of Object.entries(weights)) {
    const expected = (PICKS * weight) / total;
    expect(Math.abs((counts[address] ?? 0) - expected), address).toBeLessThanOrEqual(expected * 0.02);
  }
}

/** As `spread`, for requests that differ in all that a policy may look at. */
async function spreadDifferent(
  policy: Policy,
  candidates: FakeCandidates,
  times: number,
): Promise<Record<string, number>> {
  const counts = Object.fromEntries(candidates.backends.map(({ address }) => [address, 0]));
  for (let n = 0; n < times; n++) {
    const head = fakeHead({ target: `/assets/${n}.js?v=${n % 7}`, headers: { "x-user": `user-${n}` } });
    const context = fakeContext({ clientAddress: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}` });
    const address = (await pick(policy, candidates, head, context))?.address ?? "none";
    counts[address] = (counts[address] ?? 0) + 1;
  }
  return counts;
}

describe.each(builtinPolicies.map((module) => module.name))("%s", (name) => {
  const spreadOver = (weights: Record<string, number>) =>
    spreadDifferent(make(name), fakeCandidates(backends(weights)), PICKS);

  it("can be made for a pool that has no backend yet", () => {
    expect(() => make(name, undefined, { backends: [] })).not.toThrow();
  });

  it("shares out evenly between idle backends of equal weight", async () => {
    const weights = { a: 1, b: 1, c: 1, d: 1, e: 1 };
    expectShares(await spreadOver(weights), weights);
  });

  it("shares out by weight between idle backends", async () => {
    const weights = { a: 5, b: 3, c: 2 };
    expectShares(await spreadOver(weights), weights);
  });

  it("never takes weight 0 while there is something else", async () => {
    const counts = await spreadOver({ a: 0, b: 2, c: 0, d: 2 });
    expect([counts.a, counts.c]).toEqual([0, 0]);
    expectShares(counts, { b: 1, d: 1 });
  });

  it("shares out evenly if all weights are 0", async () => {
    expectShares(await spreadOver({ a: 0, b: 0 }), { a: 1, b: 1 });
  });

  it("takes the only one there is, and leaves nothing of nothing", async () => {
    expect(await sequence(make(name), fakeCandidates(backends({ a: 0 })), 3)).toBe("aaa");
    expect(await sequence(make(name), fakeCandidates([]), 1)).toBe("-");
  });

  it(`leaves ${narrowing.has(name) ? "all that are alike" : "exactly one candidate"}, at once`, () => {
    const candidates = fakeCandidates(backends({ a: 1, b: 2, c: 3 }));
    expect(bare(name).select(fakeHead(), candidates, fakeContext())).toBeUndefined();
    expect(candidates.length).toBe(narrowing.has(name) ? 3 : 1);
  });

  it("refuses options that it does not know", () => {
    expect(() => make(name, { ...Object(required[name]), colour: "red" })).toThrow(/colour/);
  });

  it("works with the highest slots of the load table", async () => {
    const all = fakeCandidates(
      Array.from({ length: 4096 }, (_, i) => ({ address: `b${i}`, weight: i < 4090 ? 0 : 1 })),
    );
    const counts = await spreadDifferent(make(name), all, 200);
    const chosen = Object.entries(counts).filter(([, count]) => count > 0);
    expect(chosen.map(([address]) => address)).toEqual([
      "b4090",
      "b4091",
      "b4092",
      "b4093",
      "b4094",
      "b4095",
    ]);
  });

  it("allocates nothing", () => {
    // The smallest object has 16 bytes.
    expect(garbagePerChoice(bare(name), backends({ a: 1, b: 2, c: 3, d: 4 }))).toBeLessThan(1);
  });
});

describe("with options and labels that give it more to do", () => {
  const fakes = ["a", "b", "c", "d"].map((address, i) => ({
    address,
    weight: i + 1,
    labels: { content: i % 2 ? "html" : "image", zone: i % 2 ? "far" : "near" },
  }));
  it.each([
    ["content-type", { learn: true }],
    ["nearest", { zones: { near: { networks: ["192.0.2.0/24"] }, far: {} }, spillAbove: 10 }],
    ["hot-replication", { perReplica: 1, maxReplicas: 3 }],
  ])("%s allocates nothing", (name, options) => {
    expect(garbagePerChoice(bare(name, options, fakes), fakes)).toBeLessThan(1);
  });
});

/** Bytes that a choice leaves on the heap, once it is compiled; interpreted code puts every fraction there. */
function garbagePerChoice(policy: Policy, fakes: readonly FakeBackend[]): number {
  const candidates = fakeCandidates(fakes);
  // As the proxy's, and unlike that of the test kit, this one makes no other name of the name.
  const header = (wanted: string) => (wanted === "x-user" ? "somebody" : undefined);
  const head = { ...fakeHead({ target: "/a/path/of/some/length.html" }), header };
  const contexts = Array.from({ length: 100 }, (_, i) => fakeContext({ now: 50 * i }));
  const choose = (times: number) => {
    for (let i = 0; i < times; i++) {
      candidates.restore(fakes.length);
      void policy.select(head, candidates, contexts[i % 100] as SelectContext);
    }
  };
  choose(200_000);
  const bytes = Array.from({ length: 5 }, () => {
    const before = process.memoryUsage().heapUsed;
    choose(20_000);
    return process.memoryUsage().heapUsed - before;
  });
  // Negative: the collector ran in between.
  return Math.min(...bytes.filter((grown) => grown >= 0)) / 20_000;
}

describe("round-robin", () => {
  it("interleaves weights 5, 1, 1 as a a b a c a a", async () => {
    const candidates = fakeCandidates(backends({ a: 5, b: 1, c: 1 }));
    expect(await sequence(make("round-robin"), candidates, 14)).toBe("aabacaaaabacaa");
  });

  it("loses at most one turn per backend when one leaves or comes back", async () => {
    const policy = make("round-robin");
    const candidates = fakeCandidates(backends({ a: 1, b: 1, c: 1 }));
    expect(await sequence(policy, candidates, 4)).toBe("abca");
    candidates.set("b", { eligible: false });
    const away = [...(await sequence(policy, candidates, 10))].sort().join("");
    expect(away).toMatch(/^a{4,6}c{4,6}$/);
    candidates.set("b", { eligible: true });
    const back = [...(await sequence(policy, candidates, 9))].sort().join("");
    expect(back).toMatch(/^a{2,4}b{2,4}c{2,4}$/);
  });

  it("starts at another turn in each worker", async () => {
    const first = async (worker: number) =>
      sequence(make("round-robin", undefined, { worker }), fakeCandidates(backends({ a: 1, b: 1, c: 1 })), 3);
    expect(await Promise.all([0, 1, 2, 3].map(first))).toEqual(["abc", "bca", "cab", "abc"]);
  });
});

describe("least-connections", () => {
  it("takes the fewest exchanges per weight", async () => {
    const candidates = fakeCandidates([
      { address: "a", weight: 1, active: 2 },
      { address: "b", weight: 4, active: 7 },
      { address: "c", weight: 1, active: 3 },
    ]);
    expect(await sequence(make("least-connections"), candidates, 5)).toBe("bbbbb");
    candidates.set("b", { active: 9 });
    expect(await sequence(make("least-connections"), candidates, 5)).toBe("aaaaa");
  });

  it("draws lots among equals only, by weight", async () => {
    const candidates = fakeCandidates([
      { address: "a", weight: 1, active: 1 },
      { address: "b", weight: 1, active: 2 },
      { address: "c", weight: 3, active: 3 },
    ]);
    const counts = await spread(make("least-connections"), candidates, PICKS);
    expect(counts.b).toBe(0);
    expectShares(counts, { a: 1, c: 3 });
  });
});

describe("power-of-two", () => {
  it("always takes the less loaded one of two", async () => {
    const candidates = fakeCandidates([
      { address: "a", active: 1 },
      { address: "b", active: 0 },
    ]);
    expect(await sequence(make("power-of-two"), candidates, 20)).toBe("b".repeat(20));
  });

  it("compares load per weight", async () => {
    const candidates = fakeCandidates([
      { address: "a", weight: 4, active: 3 },
      { address: "b", weight: 1, active: 1 },
    ]);
    expect(await sequence(make("power-of-two"), candidates, 20)).toBe("a".repeat(20));
  });

  it("never takes the most loaded one, and of equals each pair is as likely", async () => {
    const loads = [0, 1, 2, 3].map((active) => ({ address: `load${active}`, active }));
    const counts = await spread(make("power-of-two"), fakeCandidates(loads), PICKS);
    // Of the 6 pairs, 3 have load0 as their better half, 2 load1, 1 load2.
    expect(counts.load3).toBe(0);
    expectShares(counts, { load0: 3, load1: 2, load2: 1 });
  });
});

describe("uri-hash", () => {
  const names = Array.from({ length: 10 }, (_, i) => `10.0.0.${i}:80`);
  const ten = () => fakeCandidates(names.map((address) => ({ address })));
  const chosen = async (policy: Policy, candidates: FakeCandidates, paths: number) => {
    const out: (string | undefined)[] = [];
    for (let i = 0; i < paths; i++) {
      out.push((await pick(policy, candidates, fakeHead({ target: `/item/${i}` })))?.address);
    }
    return out;
  };

  it("moves only the paths of the backend that left", async () => {
    const before = await chosen(make("uri-hash"), ten(), 20_000);
    const candidates = ten();
    candidates.set("10.0.0.4:80", { eligible: false });
    const after = await chosen(make("uri-hash"), candidates, 20_000);
    const moved = before.filter((address, i) => address !== after[i]);
    expect(new Set(moved)).toEqual(new Set(["10.0.0.4:80"]));
    // What it had is spread over all the others.
    const heirs = after.filter((_, i) => before[i] === "10.0.0.4:80");
    expect(new Set(heirs).size).toBe(9);
  });

  it("moves paths only to the backend whose weight grew", async () => {
    const before = await chosen(make("uri-hash"), ten(), 20_000);
    const heavier = names.map((address) => ({ address, weight: address === "10.0.0.4:80" ? 2 : 1 }));
    const candidates = fakeCandidates(heavier);
    const after = await chosen(make("uri-hash"), candidates, 20_000);
    const moved = after.filter((address, i) => address !== before[i]);
    expect(new Set(moved)).toEqual(new Set(["10.0.0.4:80"]));
  });

  it("chooses alike whatever the order and the slots of the backends, and in every worker", async () => {
    const shuffled = fakeCandidates([...names].reverse().map((address) => ({ address })));
    const here = await chosen(make("uri-hash"), ten(), 2000);
    expect(await chosen(make("uri-hash", undefined, { worker: 3 }), shuffled, 2000)).toEqual(here);
  });

  it("notices that a slot passed to another backend", async () => {
    const policy = make("uri-hash");
    await chosen(policy, ten(), 10);
    const others = fakeCandidates(names.map((address) => ({ address: address.replace(":80", ":81") })));
    expect(await chosen(policy, others, 2000)).toEqual(await chosen(make("uri-hash"), others, 2000));
  });

  it("leaves the query out unless told otherwise", async () => {
    const targets = Array.from({ length: 200 }, (_, i) => fakeHead({ target: `/same?n=${i}` }));
    const used = async (policy: Policy) => {
      const counts = await spread(policy, ten(), targets.length, (n) => targets[n] as (typeof targets)[0]);
      return Object.values(counts).filter((count) => count > 0).length;
    };
    expect(await used(make("uri-hash"))).toBe(1);
    expect(await used(make("uri-hash", { query: true }))).toBe(10);
  });
});
