// Policies that leave several candidates, weighted-split and priority, and chains of them.
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
  pick,
} from "../../src/policy/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";

const registry = new PolicyRegistry(builtinPolicies);
const PICKS = 100_000;

type Spec = readonly [name: string, options?: unknown];

const chain = (candidates: FakeCandidates, ...specs: readonly Spec[]): Policy =>
  registry.createChain(
    specs.map(([name, options]) => ({ name, options })),
    fakeEnv({ backends: candidates.backends }),
  );

/** How often what was chosen had this in a label; "-" for no label. */
async function count(
  policy: Policy,
  candidates: FakeCandidates,
  about: (labels: Readonly<Record<string, string>>) => string | undefined,
  times = PICKS,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let n = 0; n < times; n++) {
    const context = fakeContext({ clientAddress: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}` });
    const backend = await pick(policy, candidates, fakeHead({ target: `/${n}` }), context);
    const name = (backend && about(backend.labels)) ?? "-";
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

function expectShares(counts: Record<string, number>, shares: Record<string, number>): void {
  const total = Object.values(shares).reduce((sum, share) => sum + share, 0);
  const times = Object.values(counts).reduce((sum, part) => sum + part, 0);
  expect(Object.keys(counts).sort()).toEqual(Object.keys(shares).sort());
  for (const [name, share] of Object.entries(shares)) {
    const expected = (times * share) / total;
    expect(Math.abs((counts[name] as number) - expected), name).toBeLessThanOrEqual(0.02 * expected);
  }
}

const version = (labels: Readonly<Record<string, string>>) => labels.version;
const versions = (...names: (string | undefined)[]): FakeBackend[] =>
  names.map((name, i) => ({ address: `b${i}`, labels: name === undefined ? {} : { version: name } }));

describe("weighted-split", () => {
  const split = { shares: { v1: 95, v2: 5 } };

  it("says that it chooses by client if it is sticky, so that it and a policy by target are asked each time", () => {
    const basis = (sticky: boolean, ...rest: string[]) => {
      const specs = rest.map((name) => ({ name, options: undefined as unknown }));
      return registry.traitsOf([{ name: "weighted-split", options: { ...split, sticky } }, ...specs])
        .choosesBy;
    };
    expect([basis(false), basis(true)]).toEqual(["load", "load"]);
    expect([basis(false, "uri-hash"), basis(true, "uri-hash")]).toEqual(["target", "request"]);
  });

  it("gives each group its share, however many backends it has", async () => {
    const candidates = fakeCandidates(versions("v1", "v2", "v2", "v2"));
    expectShares(
      await count(chain(candidates, ["weighted-split", split]), candidates, version),
      split.shares,
    );
  });

  it("leaves the choice within the group to the next policy", async () => {
    const candidates = fakeCandidates(versions("v1", "v2", "v1", "v1"));
    const policy = chain(candidates, ["weighted-split", { shares: { v1: 1 } }]);
    candidates.reset();
    await policy.select(fakeHead(), candidates, fakeContext());
    expect(candidates.addresses()).toEqual(["b0", "b2", "b3"]);
  });

  it("gives the share of a group of which nobody is left to the others", async () => {
    const shares = { v1: 50, v2: 30, v3: 20 };
    const candidates = fakeCandidates(versions("v1", "v2", "v3"));
    candidates.set("b0", { eligible: false });
    const policy = chain(candidates, ["weighted-split", { shares }]);
    expectShares(await count(policy, candidates, version), { v2: 30, v3: 20 });
    candidates.set("b0", { eligible: true, weight: 0 });
    expectShares(await count(policy, candidates, version), { v2: 30, v3: 20 });
  });

  it("uses backends without a share only if nobody else is left", async () => {
    const candidates = fakeCandidates(versions("v1", "v9", undefined, "v0"));
    const policy = chain(candidates, ["weighted-split", { shares: { v1: 1, v0: 0 } }], ["round-robin"]);
    expectShares(await count(policy, candidates, version, 300), { v1: 1 });
    candidates.set("b0", { eligible: false });
    expectShares(await count(policy, candidates, version, 300), { v9: 1, "-": 1, v0: 1 });
  });

  it("can keep a client with its group", async () => {
    const candidates = fakeCandidates(versions("v1", "v2"));
    const options = { shares: { v1: 80, v2: 20 }, sticky: true };
    const policy = chain(candidates, ["weighted-split", options]);
    const of = async (client: number) => {
      const context = fakeContext({ clientAddress: `10.0.${client >> 8}.${client & 255}` });
      return (await pick(policy, candidates, fakeHead(), context))?.labels.version as string;
    };
    const counts: Record<string, number> = {};
    for (let client = 0; client < 20_000; client++) {
      const group = await of(client);
      counts[group] = (counts[group] ?? 0) + 1;
      if (client < 500) for (let i = 0; i < 5; i++) expect(await of(client)).toBe(group);
    }
    expectShares(counts, options.shares);
  });

  it("goes by another label", async () => {
    const candidates = fakeCandidates([
      { address: "a", labels: { track: "stable" } },
      { address: "b", labels: { track: "canary" } },
    ]);
    const shares = { stable: 9, canary: 1 };
    const policy = chain(candidates, ["weighted-split", { label: "track", shares }]);
    expectShares(await count(policy, candidates, ({ track }) => track), shares);
  });

  it.each([
    [undefined, /shares/],
    [{ shares: {} }, /at least one share/],
    [{ shares: { v1: 0 } }, /at least one share/],
    [{ shares: { v1: -1 } }, /v1/],
  ])("refuses %j", (options, message) => {
    expect(() => chain(fakeCandidates([]), ["weighted-split", options])).toThrow(message);
  });
});

/** So many of a hundred backends of each tier are there. */
function tiers(...healthy: readonly number[]): FakeCandidates {
  const backends = healthy.flatMap((_, tier) =>
    Array.from({ length: 100 }, (_, i) => ({ address: `${tier}-${i}`, labels: { priority: `${tier}` } })),
  );
  const candidates = fakeCandidates(backends);
  healthy.forEach((count, tier) => {
    for (let i = count; i < 100; i++) candidates.set(`${tier}-${i}`, { eligible: false });
  });
  return candidates;
}

describe("priority", () => {
  const tier = ({ priority }: Readonly<Record<string, string>>) => priority ?? "0";

  // The tables of Envoy's documentation, "Priority levels". It rounds health to whole per cents.
  it.each([
    [
      [100, 100],
      [100, 0],
    ],
    [
      [72, 100],
      [100, 0],
    ],
    [
      [71, 100],
      [99, 1],
    ],
    [
      [50, 100],
      [70, 30],
    ],
    [
      [25, 100],
      [35, 65],
    ],
    [
      [0, 100],
      [0, 100],
    ],
    [
      [72, 72],
      [100, 0],
    ],
    [
      [71, 71],
      [99, 1],
    ],
    [
      [50, 50],
      [70, 30],
    ],
    [
      [25, 25],
      [50, 50],
    ],
    [
      [100, 100, 100],
      [100, 0, 0],
    ],
    [
      [72, 72, 100],
      [100, 0, 0],
    ],
    [
      [71, 71, 100],
      [99, 1, 0],
    ],
    [
      [50, 50, 100],
      [70, 30, 0],
    ],
    [
      [25, 100, 100],
      [35, 65, 0],
    ],
    [
      [25, 25, 100],
      [35, 35, 30],
    ],
    [
      [25, 25, 20],
      [36, 36, 28],
    ],
  ])("with %j per cent there, the tiers get %j per cent", async (healthy, traffic) => {
    const candidates = tiers(...healthy);
    const counts = await count(chain(candidates, ["priority"]), candidates, tier, 5000);
    traffic.forEach((percent, number) => {
      const got = (counts[`${number}`] ?? 0) / 50;
      expect(Math.abs(got - percent), `${JSON.stringify(counts)}`).toBeLessThanOrEqual(1);
      if (percent === 0) expect(got).toBe(0);
    });
  });

  it("can do without overprovisioning", async () => {
    const candidates = tiers(90, 100);
    const policy = chain(candidates, ["priority", { overprovisioning: 1 }]);
    expectShares(await count(policy, candidates, tier, 10_000), { 0: 90, 1: 10 });
  });

  it("passes over a tier of which nobody has a weight", async () => {
    const candidates = fakeCandidates([
      { address: "a", weight: 0 },
      { address: "b", labels: { priority: "7" } },
    ]);
    const policy = chain(candidates, ["priority"]);
    expectShares(await count(policy, candidates, tier, 100), { 7: 1 });
    candidates.set("b", { weight: 0 });
    expectShares(await count(policy, candidates, tier, 100), { 0: 1 });
  });

  it("goes by another label, and says what is wrong with one", () => {
    const candidates = fakeCandidates([{ address: "a:1", labels: { tier: "first" } }]);
    expect(() => chain(candidates, ["priority"])).not.toThrow();
    expect(() => chain(candidates, ["priority", { label: "tier" }])).toThrow(
      /label tier of backend a:1 must be a whole number from 0 to 31, not "first"/,
    );
    expect(() => chain(candidates, ["priority", { overprovisioning: 0.5 }])).toThrow(/overprovisioning/);
  });
});

describe("chains", () => {
  const grid = (names: readonly string[], zones: readonly string[], each: number): FakeBackend[] =>
    names.flatMap((version) =>
      zones.flatMap((zone) =>
        Array.from({ length: each }, (_, i) => ({
          address: `${version}-${zone}-${i}`,
          labels: { version, zone, priority: zone === "near" ? "0" : "1" },
        })),
      ),
    );
  const byVersion: Spec = ["weighted-split", { shares: { v1: 80, v2: 20 } }];
  const byZone: Spec = ["weighted-split", { label: "zone", shares: { near: 75, far: 25 } }];
  const both = { "v1 near": 60, "v1 far": 20, "v2 near": 15, "v2 far": 5 };
  const place = ({ version, zone }: Readonly<Record<string, string>>) => `${version} ${zone}`;

  it("of two splits commute: neither depends on what the other one draws", async () => {
    for (const specs of [
      [byVersion, byZone],
      [byZone, byVersion],
    ]) {
      const candidates = fakeCandidates(grid(["v1", "v2"], ["near", "far"], 2));
      const policy = chain(candidates, ...specs, ["round-robin"]);
      expectShares(await count(policy, candidates, place), both);
    }
  });

  it("of a failover, a split and a hash narrow one after the other", async () => {
    const candidates = fakeCandidates(grid(["v1", "v2"], ["near", "far"], 10));
    // Half of the near tier is missing: 70 per cent stay there.
    for (const name of ["v1", "v2"]) {
      for (let i = 0; i < 5; i++) candidates.set(`${name}-near-${i}`, { eligible: false });
    }
    const policy = chain(candidates, ["priority"], byVersion, ["uri-hash"]);
    const counts = await count(policy, candidates, place);
    expectShares(counts, { "v1 near": 56, "v1 far": 24, "v2 near": 14, "v2 far": 6 });
  });

  it.each(["least-load", "inverse-load", "max-load", "peak-ewma", "least-time", "power-of-two", "uri-hash"])(
    "that end with %s choose within what is left",
    async (name) => {
      const candidates = fakeCandidates(grid(["v1", "v2"], ["near", "far"], 2));
      const counts = await count(chain(candidates, byVersion, [name]), candidates, version);
      expectShares(counts, { v1: 80, v2: 20 });
    },
  );
});
