import { describe, expect, it } from "vitest";
import { hotReplication } from "../../policies/hot-replication/index.js";
import { uriHash } from "../../policies/uri-hash/index.js";
import {
  type FakeCandidates,
  fakeCandidates,
  fakeContext,
  fakeEnv,
  fakeHead,
  type Policy,
  pick,
} from "../../src/policy/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";

const registry = new PolicyRegistry([hotReplication, uriHash]);
const eight = () => fakeCandidates(Array.from({ length: 8 }, (_, i) => ({ address: `b${i}` })));

function make(options: object = {}, shared: SharedArrayBuffer | null = null): Policy {
  return registry.createChain([{ name: "hot-replication", options, shared }], fakeEnv());
}

/** Requests for a URL at an even rate from `from` to `to` (milliseconds); how many each backend got. */
async function drive(
  policy: Policy,
  candidates: FakeCandidates,
  { perSecond, from, to, target = "/hot" }: { perSecond: number; from: number; to: number; target?: string },
): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const head = fakeHead({ target });
  for (let now = from; now < to; now += 1000 / perSecond) {
    const { address } = (await pick(policy, candidates, head, fakeContext({ now })))!;
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  return counts;
}

describe("hot-replication", () => {
  it("gives a URL as many backends as its rate asks for, and takes them back", async () => {
    const policy = make({ perReplica: 10, window: 5 });
    const candidates = eight();
    const used = async (perSecond: number, from: number) =>
      (await drive(policy, candidates, { perSecond, from, to: from + 10_000 })).size;
    // Each rate is there for a while before it is looked at.
    for (const [start, perSecond, replicas] of [
      [0, 5, 1],
      [60_000, 35, 4],
      [120_000, 1000, 8],
      [180_000, 22, 3],
      [240_000, 5, 1],
    ] as const) {
      await drive(policy, candidates, { perSecond, from: start, to: start + 40_000 });
      expect(await used(perSecond, start + 40_000), `${perSecond}/s`).toBe(replicas);
    }
  });

  it("keeps the backends that it has when it grows, and gives up the last one first", async () => {
    const policy = make({ perReplica: 10, window: 5 });
    const candidates = eight();
    const subsets: string[][] = [];
    for (const [i, perSecond] of [5, 15, 25, 35, 22, 15, 5].entries()) {
      const from = i * 60_000;
      await drive(policy, candidates, { perSecond, from, to: from + 40_000 });
      const counts = await drive(policy, candidates, { perSecond, from: from + 40_000, to: from + 60_000 });
      subsets.push([...counts.keys()].sort());
    }
    expect(subsets.map((subset) => subset.length)).toEqual([1, 2, 3, 4, 3, 2, 1]);
    const [one, two, three, four] = subsets as [string[], string[], string[], string[]];
    expect(two).toEqual(expect.arrayContaining(one));
    expect(three).toEqual(expect.arrayContaining(two));
    expect(four).toEqual(expect.arrayContaining(three));
    expect(subsets.slice(4)).toEqual([three, two, one]);
  });

  it("remembers how many backends a URL had while most of them are away", async () => {
    const policy = make({ perReplica: 10, window: 5 });
    const candidates = eight();
    await drive(policy, candidates, { perSecond: 75, from: 0, to: 40_000 });
    // Enough to keep the eighth, not enough to get it.
    await drive(policy, candidates, { perSecond: 65, from: 40_000, to: 60_000 });
    const away = candidates.backends.slice(2);
    for (const { address } of away) candidates.set(address, { eligible: false });
    const few = await drive(policy, candidates, { perSecond: 65, from: 60_000, to: 62_000 });
    expect(few.size).toBe(2);
    for (const { address } of away) candidates.set(address, { eligible: true });
    const all = await drive(policy, candidates, { perSecond: 65, from: 62_000, to: 66_000 });
    expect(all.size).toBe(8);
  });

  it("does not flutter at the border between two numbers", async () => {
    const policy = make({ perReplica: 10, window: 5 });
    const candidates = eight();
    await drive(policy, candidates, { perSecond: 22, from: 0, to: 40_000 });
    // A little more and a little less than three replicas are for.
    for (let i = 0; i < 10; i++) {
      const from = 40_000 + i * 5000;
      const counts = await drive(policy, candidates, { perSecond: i % 2 ? 19 : 21, from, to: from + 5000 });
      expect(counts.size).toBe(3);
    }
  });

  it("shares the requests for a hot URL out evenly, and by weight", async () => {
    const policy = make({ perReplica: 10, window: 5 });
    const candidates = fakeCandidates([
      { address: "a", weight: 1 },
      { address: "b", weight: 3 },
      { address: "standby", weight: 0 },
    ]);
    await drive(policy, candidates, { perSecond: 200, from: 0, to: 20_000 });
    const counts = await drive(policy, candidates, { perSecond: 200, from: 20_000, to: 120_000 });
    expect(counts.get("standby")).toBeUndefined();
    expect(counts.get("b")! / counts.get("a")!).toBeGreaterThan(2.8);
    expect(counts.get("b")! / counts.get("a")!).toBeLessThan(3.2);
  });

  it("takes the least loaded backend of the subset, and none outside of it", async () => {
    const policy = make({ perReplica: 10, window: 5, maxReplicas: 2 });
    const candidates = eight();
    const subset = [...(await drive(policy, candidates, { perSecond: 100, from: 0, to: 20_000 })).keys()];
    expect(subset.length).toBe(2);
    const [busy, idle] = subset as [string, string];
    candidates.set(busy, { active: 3 });
    candidates.set(idle, { active: 2 });
    expect([
      ...(await drive(policy, candidates, { perSecond: 100, from: 20_000, to: 21_000 })).keys(),
    ]).toEqual([idle]);
  });

  it("has places for URLs that are not hot, which stay when others leave", async () => {
    const policy = make();
    const candidates = eight();
    const all = async () => {
      const out: (string | undefined)[] = [];
      for (let i = 0; i < 500; i++)
        out.push((await pick(policy, candidates, fakeHead({ target: `/item/${i}` })))?.address);
      return out;
    };
    const before = await all();
    expect(new Set(before).size).toBe(8);
    candidates.set("b3", { eligible: false });
    const after = await all();
    expect(new Set(before.filter((address, i) => address !== after[i]))).toEqual(new Set(["b3"]));
  });

  it("counts for all workers together", async () => {
    const shared = new SharedArrayBuffer(registry.sharedBytes("hot-replication", undefined));
    const candidates = eight();
    const workers = [0, 1, 2, 3].map(() => make({ perReplica: 10, window: 5 }, shared));
    const alone = make({ perReplica: 10, window: 5 });
    const head = fakeHead({ target: "/hot" });
    const counts = new Map<string, number>();
    // 32 a second, 8 for each worker.
    for (let n = 0, now = 0; now < 60_000; n++, now += 1000 / 32) {
      const worker = workers[n % 4]!;
      const { address } = (await pick(worker, candidates, head, fakeContext({ now })))!;
      if (now > 40_000) counts.set(address, (counts.get(address) ?? 0) + 1);
    }
    expect(counts.size).toBe(4);
    expect((await drive(alone, candidates, { perSecond: 8, from: 0, to: 60_000 })).size).toBe(1);
  });

  it("remembers a hot URL while many others come and go", async () => {
    const policy = make({ perReplica: 10, window: 5, entries: 64 });
    const candidates = eight();
    const seen = new Set<string>();
    for (let n = 0; n < 20_000; n++) {
      const now = n;
      // One in ten is for the hot one: 100 a second.
      const target = n % 10 === 0 ? "/hot" : `/once/${n}`;
      const { address } = (await pick(policy, candidates, fakeHead({ target }), fakeContext({ now })))!;
      if (n > 15_000 && n % 10 === 0) seen.add(address);
    }
    expect(seen.size).toBe(8);
  });

  it.each([[{ perReplica: 0 }], [{ window: 0 }], [{ maxReplicas: 0 }], [{ entries: 10 }]])(
    "refuses %j",
    (options) => {
      expect(() => make(options)).toThrow(/options\./);
    },
  );

  it("looks at each request, since what is not seen is not counted", () => {
    expect(registry.traitsOf([{ name: "hot-replication", options: {} }])).toEqual({
      choosesBy: "request",
      readsResponses: false,
      changesResponses: false,
    });
  });
});
