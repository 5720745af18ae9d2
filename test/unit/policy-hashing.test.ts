/** What the policies that choose by a hash have in common: distribution, disruption, bounded load. */
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
} from "../../src/policy/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";

const registry = new PolicyRegistry(builtinPolicies);

interface Kind {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
}

const KINDS: readonly Kind[] = [
  { name: "maglev", options: {} },
  { name: "ring-hash", options: {} },
  { name: "uri-hash", options: {} },
  { name: "source-hash", options: { rule: "rendezvous" } },
  { name: "source-hash", options: { rule: "modulo" } },
  { name: "header-hash", options: { header: "x-user" } },
];

/** A policy as a worker has it: it knows the backends of its pool from the start. */
function policyOf(
  kind: Kind,
  candidates?: FakeCandidates,
  more: Record<string, unknown> = {},
  env: Partial<PolicyEnv> = {},
): Policy {
  const specs = [{ name: kind.name, options: { ...kind.options, ...more } }];
  return registry.createChain(specs, fakeEnv({ backends: candidates?.backends ?? [], ...env }));
}

/** The n-th request: path, header and client differ from those of all others. Made by hand, because there are millions. */
function request(n: number) {
  const path = `/item/${n}`;
  const user = `user-${n}`;
  const clientAddress = `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
  return {
    head: { ...HEAD, path, target: path, header: () => user },
    context: { ...CONTEXT, clientAddress },
  };
}
const HEAD = fakeHead();
const CONTEXT = fakeContext();

/** The address that each of the first requests goes to. */
function choices(policy: Policy, candidates: FakeCandidates, requests: number): string[] {
  return Array.from({ length: requests }, (_, n) => {
    const { head, context } = request(n);
    candidates.reset();
    void policy.select(head, candidates, context);
    return candidates.length === 1 ? candidates.at(0).address : "not one";
  });
}

function countsOf(addresses: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const address of addresses) counts.set(address, (counts.get(address) ?? 0) + 1);
  return counts;
}

const backendsOf = (count: number, more: Partial<FakeBackend> = {}): FakeBackend[] =>
  Array.from({ length: count }, (_, i) => ({ address: `10.1.0.${i + 1}:8080`, ...more }));
const movedShare = (before: readonly string[], after: readonly string[]) =>
  before.filter((address, n) => address !== after[n]).length / before.length;

describe.each(KINDS)("$name $options", (kind) => {
  it("gives each of 16 backends its share to 2 %", () => {
    const candidates = fakeCandidates(backendsOf(16));
    const requests = 500_000;
    const counts = countsOf(choices(policyOf(kind, candidates), candidates, requests));
    for (const { address } of candidates.backends) {
      expect(Math.abs((counts.get(address)! / requests) * 16 - 1), address).toBeLessThan(0.02);
    }
  }, 60_000);

  it("moves only what a backend had when it is not offered, to all others by weight, and back", () => {
    const candidates = fakeCandidates(backendsOf(10, { weight: 2 }).with(3, { address: "b", weight: 4 }));
    const policy = policyOf(kind, candidates);
    const before = choices(policy, candidates, 100_000);
    const gone = "10.1.0.8:8080";
    candidates.set(gone, { eligible: false });
    const after = choices(policy, candidates, 100_000);
    expect(new Set(before.filter((address, n) => address !== after[n]))).toEqual(new Set([gone]));
    const heirs = countsOf(after.filter((_, n) => before[n] === gone));
    const orphans = before.filter((address) => address === gone).length;
    for (const { address, weight } of candidates.backends) {
      if (address !== gone) expect((heirs.get(address)! / orphans) * 20).toBeCloseTo(weight, 0);
    }
    candidates.set(gone, { eligible: true });
    expect(choices(policy, candidates, 20_000)).toEqual(before.slice(0, 20_000));
  });

  it("moves little more than the share of a backend that the pool loses", () => {
    // The rule of ONE-IP is not made for that: n changes for everybody.
    if (kind.options.rule === "modulo") return;
    const all = fakeCandidates(backendsOf(10));
    const before = choices(policyOf(kind, all), all, 100_000);
    for (const index of [0, 4, 9]) {
      const fewer = fakeCandidates(backendsOf(10).toSpliced(index, 1));
      const after = choices(policyOf(kind, fewer), fewer, 100_000);
      expect(movedShare(before, after)).toBeLessThan(1 / 10 + 0.02);
    }
  });

  it("takes from a backend whose weight is lower for a while just what is too much", () => {
    const candidates = fakeCandidates(backendsOf(8, { weight: 4 }));
    const policy = policyOf(kind, candidates);
    const before = choices(policy, candidates, 200_000);
    const slow = "10.1.0.3:8080";
    candidates.set(slow, { weight: 1 });
    const after = choices(policy, candidates, 200_000);
    expect(new Set(before.filter((address, n) => address !== after[n]))).toEqual(new Set([slow]));
    expect(Math.abs((countsOf(after).get(slow)! / 200_000) * 29 - 1)).toBeLessThan(0.04);
    candidates.set(slow, { weight: 4 });
    expect(choices(policy, candidates, 20_000)).toEqual(before.slice(0, 20_000));
  });

  it("knows by how much a weight is lower also when a request is offered no other backend", () => {
    const fakes = backendsOf(4, { weight: 4 }).with(1, { address: "slow", weight: 4 });
    const [candidates, all] = [fakeCandidates(fakes), fakeCandidates(fakes)];
    for (const each of [candidates, all]) each.set("slow", { weight: 1 });
    const policy = policyOf(kind, candidates, {}, { candidates: () => all });
    let slow = 0;
    for (let n = 0; n < 60_000; n++) {
      const { head, context } = request(n);
      candidates.reset();
      if (n % 50 === 0) candidates.keep(1);
      void policy.select(head, candidates, context);
      if (n % 50 !== 0 && candidates.at(0).address === "slow") slow++;
    }
    expect(Math.abs((slow / 58_800) * 13 - 1)).toBeLessThan(0.05);
  });

  it("follows weights that change, whatever they were, and in proportion only", () => {
    const candidates = fakeCandidates(backendsOf(4));
    const policy = policyOf(kind, candidates);
    choices(policy, candidates, 10);
    const weights = [300, 100, 100, 0];
    for (const [i, weight] of weights.entries()) candidates.set(candidates.backends[i]!.address, { weight });
    const counts = countsOf(choices(policy, candidates, 100_000));
    for (const [i, weight] of weights.entries()) {
      const share = (counts.get(candidates.backends[i]!.address) ?? 0) / 100_000;
      expect(Math.abs(share - weight / 500)).toBeLessThan(0.02 * (weight / 500) + 1e-9);
    }
  });

  it("chooses alike whatever the order of the backends, and whether it knew them before", () => {
    const candidates = fakeCandidates(backendsOf(12));
    const expected = choices(policyOf(kind, candidates), candidates, 5000);
    const reversed = fakeCandidates(backendsOf(12).reverse());
    expect(choices(policyOf(kind, reversed), reversed, 5000)).toEqual(expected);
    expect(choices(policyOf(kind), fakeCandidates(backendsOf(12)), 5000)).toEqual(expected);
  });

  it("notices that a slot passed to another backend", () => {
    const policy = policyOf(kind);
    choices(policy, fakeCandidates(backendsOf(8)), 10);
    const others = fakeCandidates(backendsOf(8).map(({ address }) => ({ address: `${address}1` })));
    expect(choices(policy, others, 2000)).toEqual(choices(policyOf(kind), others, 2000));
  });

  it("finds the few of many that are offered, evenly", () => {
    const candidates = fakeCandidates(backendsOf(256));
    const policy = policyOf(kind, candidates);
    const left = ["10.1.0.7:8080", "10.1.0.77:8080"];
    for (const { address } of candidates.backends) {
      if (!left.includes(address)) candidates.set(address, { eligible: false });
    }
    const counts = countsOf(choices(policy, candidates, 50_000));
    for (const address of left) expect(Math.abs(counts.get(address)! / 25_000 - 1)).toBeLessThan(0.02);
  });

  it.each([1, 1.25, 2])("never exceeds boundedLoad: %d", (boundedLoad) => {
    const weights = [1, 1, 2, 4];
    const candidates = fakeCandidates(weights.map((weight, i) => ({ address: `b${i}`, weight })));
    const policy = policyOf(kind, candidates, { boundedLoad });
    const active = weights.map(() => 0);
    for (let n = 0; n < 5000; n++) {
      // Half of all requests have the same key; from the 400th on, one ends for each that begins.
      const { head, context } = request(n % 2 === 0 ? 0 : n);
      candidates.reset();
      void policy.select(head, candidates, context);
      const { slot } = candidates.at(0);
      const total = active.reduce((sum, count) => sum + count, 0) + 1;
      active[slot]! += 1;
      expect(active[slot]).toBeLessThanOrEqual(Math.ceil((boundedLoad * total * weights[slot]!) / 8 - 1e-9));
      const ended = active.findIndex((count, i) => i !== n % 4 && count > 0);
      if (n >= 400 && ended >= 0) active[ended]! -= 1;
      for (const [i, count] of active.entries()) candidates.set(`b${i}`, { active: count });
    }
  });

  it("keeps to the key as long as the bound lets it", () => {
    const candidates = fakeCandidates(backendsOf(8, { active: 10 }));
    const free = choices(policyOf(kind, candidates), candidates, 2000);
    const policy = policyOf(kind, candidates, { boundedLoad: 1.25 });
    expect(choices(policy, candidates, 2000)).toEqual(free);
    const full = "10.1.0.5:8080";
    candidates.set(full, { active: 20 });
    const bounded = choices(policy, candidates, 2000);
    expect(new Set(free.filter((address, n) => address !== bounded[n]))).toEqual(new Set([full]));
    expect(bounded).not.toContain(full);
  });

  it("refuses a bound below 1", () => {
    expect(() => policyOf(kind, undefined, { boundedLoad: 0.9 })).toThrow(
      /boundedLoad: expected no less than 1/,
    );
  });

  it("asks about each request if there is a bound", () => {
    const traits = (more: object) =>
      registry.traitsOf([{ name: kind.name, options: { ...kind.options, ...more } }]).choosesBy;
    const byHeader = kind.name === "header-hash";
    // A chain whose choice depends on the client alone is as good as one by load.
    const byClient = kind.name === "source-hash";
    expect(traits({})).toBe(byHeader ? "request" : byClient ? "load" : "target");
    expect(traits({ boundedLoad: 1.25 })).toBe("request");
  });

  it("allocates nothing, with bounds and unequal weights", () => {
    const candidates = fakeCandidates(
      [1, 2, 3, 4].map((weight) => ({ address: `b${weight}`, weight, active: weight })),
    );
    const module = registry.get(kind.name) as PolicyModule<unknown>;
    const options = module.options["~standard"].validate({ ...kind.options, boundedLoad: 1.25 });
    const policy = module.create((options as { value: unknown }).value, fakeEnv());
    const requests = Array.from({ length: 64 }, (_, n) => request(n));
    candidates.set("b3", { weight: 1 });
    const choose = (times: number) => {
      for (let i = 0; i < times; i++) {
        const { head, context } = requests[i & 63]!;
        candidates.restore(4);
        void policy.select(head, candidates, context);
      }
    };
    choose(200_000); // until it is compiled; interpreted code puts every fraction on the heap
    const bytes = Array.from({ length: 5 }, () => {
      const before = process.memoryUsage().heapUsed;
      choose(20_000);
      return process.memoryUsage().heapUsed - before;
    });
    const measured = bytes.filter((grown) => grown >= 0);
    expect(Math.min(...measured) / 20_000).toBeLessThan(1);
  });
});

describe.each(["maglev", "ring-hash"])("the key of %s", (name) => {
  interface Parts {
    path: number;
    query: number;
    host: number;
    client: number;
    header: number;
  }
  const NO_PARTS: Parts = { path: 0, query: 0, host: 0, client: 0, header: 0 };

  /** How many backends get 200 requests with those parts. */
  const used = (key: unknown, parts: (n: number) => Parts) => {
    const candidates = fakeCandidates(backendsOf(8));
    const policy = policyOf({ name, options: { key } }, candidates);
    const chosen = new Set<string>();
    for (let n = 0; n < 200; n++) {
      const { path, query, host, client, header } = parts(n);
      const headers = { "X-Tenant": `t${header}` };
      candidates.reset();
      void policy.select(
        fakeHead({ target: `/${path}?${query}`, host: `h${host}.test`, headers }),
        candidates,
        fakeContext({ clientAddress: `10.0.0.${client}` }),
      );
      chosen.add(candidates.at(0).address);
    }
    return chosen.size;
  };

  it.each([
    ["path", ["path"]],
    ["target", ["path", "query"]],
    ["host", ["host"]],
    ["client", ["client"]],
    [{ header: "x-tenant" }, ["header"]],
  ])("%j is that part of the request and nothing else", (key, own) => {
    const same = (n: number, which: boolean): Parts => {
      const entries = Object.keys(NO_PARTS).map((part) => [part, own.includes(part) === which ? n : 0]);
      return Object.fromEntries(entries) as Parts;
    };
    expect(used(key, (n) => same(n, true))).toBe(8);
    expect(used(key, (n) => same(n, false))).toBe(1);
  });

  it("is drawn by lot if the header is missing", () => {
    expect(used({ header: "x-other" }, () => NO_PARTS)).toBe(8);
  });

  it("says which headers it needs, and what it may be", () => {
    expect(registry.headersFor([{ name, options: { key: { header: "X-Tenant" } } }])).toEqual(["x-tenant"]);
    expect(registry.headersFor([{ name, options: undefined }])).toEqual([]);
    const message = /key: expected path, target, host, client or \{ header/;
    expect(() => used("cookie", () => NO_PARTS)).toThrow(message);
  });
});

describe("maglev", () => {
  it("refuses a table size that is not prime", () => {
    expect(() => policyOf({ name: "maglev", options: { tableSize: 65_536 } })).toThrow(
      /tableSize: expected a prime/,
    );
  });
});

describe("source-hash by the rule of ONE-IP", () => {
  const kind = KINDS[4]!;

  it("divides by the number of all backends, and hashes only the clients of failed ones again", () => {
    const candidates = fakeCandidates(backendsOf(9));
    const policy = policyOf(kind, candidates);
    const at = (n: number) => choices(policy, candidates, n);
    const before = at(60_000);
    const failed: string[] = [];
    let last = before;
    for (const { address } of candidates.backends.slice(2, 6)) {
      candidates.set(address, { eligible: false });
      failed.push(address);
      const now = at(60_000);
      // Only the clients of the one that failed last were moved, and no client of one that works was ever.
      expect(new Set(last.filter((old, n) => old !== now[n]))).toEqual(new Set([address]));
      expect(before.filter((old, n) => !failed.includes(old) && now[n] !== old)).toEqual([]);
      last = now;
    }
    expect(countsOf(last).size).toBe(5);
    for (const { address } of candidates.backends) candidates.set(address, { eligible: true });
    expect(at(60_000)).toEqual(before);
  });
});

describe("header-hash", () => {
  const without = (options: object) => {
    const candidates = fakeCandidates(backendsOf(4));
    const policy = policyOf({ name: "header-hash", options: { header: "X-User", ...options } }, candidates);
    const left = new Set<string>();
    for (let n = 0; n < 100; n++) {
      candidates.reset();
      void policy.select(fakeHead(), candidates, fakeContext());
      left.add(candidates.addresses().join());
    }
    return left;
  };

  it("draws a backend for a request without the header, or leaves it to the next policy", () => {
    expect(without({}).size).toBe(4);
    expect(without({ absent: "next" })).toEqual(
      new Set([
        backendsOf(4)
          .map(({ address }) => address)
          .join(),
      ]),
    );
  });

  it("needs the header that the options name", () => {
    expect(registry.headersFor([{ name: "header-hash", options: { header: "X-User" } }])).toEqual(["x-user"]);
    expect(() => policyOf({ name: "header-hash", options: {} })).toThrow(/options.header: expected the name/);
    expect(() => policyOf({ name: "header-hash", options: { header: "x user" } })).toThrow(/options.header/);
  });
});
