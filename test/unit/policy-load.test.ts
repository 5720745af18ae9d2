// Policies that go by load: least-load, inverse-load, max-load.
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
  spread,
} from "../../src/policy/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";

const registry = new PolicyRegistry(builtinPolicies);
const PICKS = 100_000;
const HEAD = fakeHead();
const CONTEXT = fakeContext();
const make = (name: string, options?: unknown): Policy =>
  registry.createChain([{ name, options }], fakeEnv());

/** The shares, in thousandths, in the order of the backends. */
async function shares(policy: Policy, candidates: FakeCandidates, times = PICKS): Promise<number[]> {
  return Object.values(await spread(policy, candidates, times)).map((count) => (1000 * count) / times);
}

const close = (shares: readonly number[], expected: readonly number[]) => {
  const total = expected.reduce((sum, part) => sum + part, 0);
  for (const [i, part] of expected.entries()) {
    const share = (1000 * part) / total;
    expect(Math.abs((shares[i] as number) - share), `${shares}`).toBeLessThanOrEqual(0.02 * share);
  }
};

const cpus = (...loads: number[]): FakeBackend[] =>
  loads.map((cpu, i) => ({ address: `b${i}`, reported: { cpu } }));

describe("least-load", () => {
  const chosen = async (backends: readonly FakeBackend[], options?: unknown) =>
    (await pick(make("least-load", options), fakeCandidates(backends)))?.address;

  it("takes the lowest CPU load per weight", async () => {
    expect(await chosen(cpus(500, 300, 400))).toBe("b1");
    const [a, b] = cpus(500, 300) as [FakeBackend, FakeBackend];
    expect(await chosen([{ ...a, weight: 2 }, b])).toBe("b0");
  });

  it("draws lots among equals, by weight", async () => {
    const [a, b, c] = cpus(200, 600, 300) as [FakeBackend, FakeBackend, FakeBackend];
    const candidates = fakeCandidates([a, { ...b, weight: 3 }, c]);
    close(await shares(make("least-load"), candidates), [1, 3, 0]);
  });

  it("goes by a figure that it is told", async () => {
    const backends = [
      { address: "a", active: 9, reported: { cpu: 1, queue: 3 } },
      { address: "b", active: 1, reported: { cpu: 9, queue: 4 } },
    ];
    expect(await chosen(backends, { metric: "cpu" })).toBe("a");
    expect(await chosen(backends, { metric: "queue" })).toBe("a");
    expect(await chosen(backends, { metric: "connections" })).toBe("b");
  });

  it("counts what is in flight as well, unless it is told otherwise", async () => {
    // cpu 0.1 and 12 of 16; cpu 0.5 and none.
    const backends = [
      { address: "a", active: 12, reported: { cpu: 100 } },
      { address: "b", active: 0, reported: { cpu: 500 } },
    ];
    expect(await chosen(backends)).toBe("b");
    expect(await chosen(backends, { metric: "cpu" })).toBe("a");
  });

  it("sums figures of different units", async () => {
    // Of the greatest count, 32: a has all, b nothing.
    const backends = [
      { address: "a", active: 32, reported: { cpu: 100 } },
      { address: "b", active: 0, reported: { cpu: 700 } },
    ];
    expect(await chosen(backends, { weights: { connections: 1, cpu: 2 } })).toBe("a"); // 1 + 0.2 < 1.4
    expect(await chosen(backends, { weights: { connections: 1, cpu: 1 } })).toBe("b"); // 1 + 0.1 > 0.7
  });

  it("treats a backend that reports nothing, or not any more, by its exchanges in flight", async () => {
    const silent = { address: "silent", active: 8 };
    // 8 of at least 16: as a CPU load of 500.
    const byCpu = { metric: "cpu" };
    expect(await chosen([...cpus(450, 600), silent], byCpu)).toBe("b0");
    expect(await chosen([...cpus(550, 600), silent], byCpu)).toBe("silent");
    const candidates = fakeCandidates([{ address: "a", active: 5, reported: { cpu: 10 } }, silent]);
    expect((await pick(make("least-load"), candidates))?.address).toBe("a");
    candidates.set("a", { active: 9, reported: { cpu: -1 } });
    expect((await pick(make("least-load"), candidates))?.address).toBe("silent");
  });

  it.each([
    [{ metric: "cpu", weights: { cpu: 1 } }, /not both/],
    [{ weights: {} }, /at least one figure/],
    [{ weights: { cpu: 0 } }, /cpu/],
    [{ metric: "heat" }, /metric/],
    [{ weights: { heat: 1 } }, /weights/],
  ])("refuses %j", (options, message) => {
    expect(() => make("least-load", options)).toThrow(message);
    expect(() => make("inverse-load", options)).toThrow(message);
  });
});

describe("inverse-load", () => {
  it("draws with a probability inverse to the load", async () => {
    close(await shares(make("inverse-load"), fakeCandidates(cpus(200, 400, 800))), [4, 2, 1]);
  });

  it("draws in proportion to the weights, too", async () => {
    const [a, b, c] = cpus(200, 400, 100) as [FakeBackend, FakeBackend, FakeBackend];
    const candidates = fakeCandidates([a, { ...b, weight: 4 }, { ...c, weight: 0 }]);
    close(await shares(make("inverse-load"), candidates), [1 * 2, 1 * 4, 0]);
  });

  it("gives an idle backend much, but not everything", async () => {
    close(await shares(make("inverse-load"), fakeCandidates(cpus(0, 1000))), [20, 1]);
  });
});

/** Eight servers with a queue each, which they report every so often, and their CPU load as a moving average. */
class Cluster {
  private readonly names = Array.from({ length: 8 }, (_, i) => `s${i}`);
  private readonly queues = this.names.map(() => 0);
  private readonly loads = this.names.map(() => 0);
  private readonly candidates = fakeCandidates(this.names.map((address) => ({ address })));
  /** Between two reports, the greatest part of the requests that one server got. */
  readonly peaks: number[] = [];
  /** Mean length of the queues, of all ticks. */
  mean = 0;

  /** @param speeds requests that each server serves in a tick; 8 come */
  constructor(
    private readonly policy: Policy,
    private readonly speeds: readonly number[],
  ) {}

  run(periods: number, ticks: number): this {
    for (let period = 0; period < periods; period++) {
      const [got, busy] = [this.names.map(() => 0), this.names.map(() => 0)];
      for (let tick = 0; tick < ticks; tick++) this.tick(got, busy);
      this.peaks.push(Math.max(...got) / (8 * ticks));
      this.names.forEach((address, i) => {
        const load = ((this.loads[i] as number) + (busy[i] as number) / ticks) / 2;
        this.loads[i] = load;
        // What else goes on makes no two of them equal.
        const cpu = Math.round(980 * load) + ((7 * i + 3 * period) % 20);
        this.candidates.set(address, { reported: { cpu, queue: Math.round(this.queues[i] as number) } });
      });
    }
    this.mean /= periods * ticks * 8;
    return this;
  }

  private tick(got: number[], busy: number[]): void {
    for (let n = 0; n < 8; n++) {
      this.candidates.reset();
      void this.policy.select(HEAD, this.candidates, CONTEXT);
      const { slot } = this.candidates.at(0);
      (this.queues[slot] as number)++;
      (got[slot] as number)++;
      this.tellActive(slot);
    }
    this.speeds.forEach((speed, i) => {
      const served = Math.min(speed, this.queues[i] as number);
      (busy[i] as number) += served / speed;
      (this.queues[i] as number) -= served;
      this.mean += this.queues[i] as number;
      this.tellActive(i);
    });
  }

  /** What is in flight is known at once. */
  private tellActive(server: number): void {
    const active = Math.ceil(this.queues[server] as number);
    this.candidates.set(this.names[server] as string, { active });
  }
}

const even = Array(8).fill(1.25);
/** One server is slowed down by other work: in all they serve 9.2 of the 8 that come. */
const extra = [0.45, ...Array(7).fill(1.25)];
/** The same where the others have much to spare: a CPU that has too much to do says no more than one that has just enough. */
const spacious = [0.7, ...Array(7).fill(2.5)];

describe("with figures that are old when they are used", () => {
  const run = (name: string, speeds: readonly number[], metric = "cpu") =>
    new Cluster(make(name, { metric }), speeds).run(60, 50);

  it("least-load sends everybody to the same server, and the next time to another", () => {
    const { peaks } = run("least-load", even);
    expect(Math.min(...peaks.slice(1))).toBe(1);
  });

  it.each(["cpu", "queue"])("inverse-load does not, by %s, and has far shorter queues", (metric) => {
    const [inverse, least] = [run("inverse-load", even, metric), run("least-load", even, metric)];
    expect(Math.max(...inverse.peaks)).toBeLessThan(0.5);
    expect(inverse.mean).toBeLessThan(least.mean / 3);
  });

  it.each([
    ["inverse-load", { metric: "queue" }, extra],
    ["inverse-load", { metric: "cpu" }, spacious],
    // What is in flight is never old.
    ["least-load", undefined, extra],
  ])(
    "%s with %j spares a server that has other work, which round-robin does not",
    (name, options, speeds) => {
      const run = (policy: Policy) => new Cluster(policy, speeds).run(60, 50);
      expect(run(make(name, options)).mean).toBeLessThan(run(make("round-robin")).mean / 3);
    },
  );
});

describe("with figures that are fresh when they are used", () => {
  it.each([
    ["least-load", undefined, extra],
    ["least-load", { metric: "cpu" }, extra],
    ["inverse-load", { metric: "cpu" }, spacious],
  ])(
    "%s with %j spares a server that has other work, which round-robin does not",
    (name, options, speeds) => {
      const run = (policy: Policy) => new Cluster(policy, speeds).run(3000, 1);
      expect(run(make(name, options)).mean).toBeLessThan(run(make("round-robin")).mean / 3);
    },
  );
});

describe("max-load", () => {
  const names = Array.from({ length: 5 }, (_, i) => `10.0.0.${i}:80`);
  const five = (weights: Record<string, number> = {}) =>
    fakeCandidates(names.map((address) => ({ address, weight: weights[address] ?? 1 })));
  const ask = async (policy: Policy, candidates: FakeCandidates, client = "192.0.2.9") =>
    (await pick(policy, candidates, fakeHead(), fakeContext({ clientAddress: client })))?.address as string;

  it("gives a client the same backend, whatever worker it comes to", async () => {
    const clients = Array.from({ length: 500 }, (_, i) => `198.51.${i >> 8}.${i & 255}`);
    const homes = async () => {
      const policy = make("max-load");
      const out: string[] = [];
      for (const client of clients) out.push(await ask(policy, five(), client));
      return out;
    };
    expect(await homes()).toEqual(await homes());
    expect(new Set(await homes()).size).toBe(5);
  });

  it("keeps it below the limit, and sheds to the least loaded from there on", async () => {
    const policy = make("max-load", { connections: 10 });
    const candidates = five();
    const home = await ask(policy, candidates);
    const [idlest, ...others] = names.filter((name) => name !== home) as [string, ...string[]];
    for (const name of others) candidates.set(name, { active: 4 });
    candidates.set(idlest, { active: 3 });
    candidates.set(home, { active: 9 });
    expect(await ask(policy, candidates)).toBe(home);
    candidates.set(home, { active: 10 });
    expect(await ask(policy, candidates)).toBe(idlest);
    candidates.set(home, { active: 9 });
    expect(await ask(policy, candidates)).toBe(home);
  });

  it("takes the least full one where all are full", async () => {
    const policy = make("max-load", { connections: 10 });
    const candidates = five();
    for (const name of names) candidates.set(name, { active: 50 });
    candidates.set("10.0.0.3:80", { active: 30 });
    expect(await ask(policy, candidates)).toBe("10.0.0.3:80");
  });

  it("lets a heavier backend have more", async () => {
    const policy = make("max-load", { connections: 10 });
    const candidates = five();
    const home = await ask(policy, candidates);
    // The mean weight is 2, so 6 takes 30.
    candidates.set(home, { weight: 6, active: 29 });
    expect(await ask(policy, candidates)).toBe(home);
    candidates.set(home, { active: 30 });
    expect(await ask(policy, candidates)).not.toBe(home);
  });

  it("takes the mean of those that have a weight", async () => {
    const policy = make("max-load", { connections: 10 });
    const candidates = five();
    const home = await ask(policy, candidates);
    for (const name of names.filter((other) => other !== home).slice(0, 3))
      candidates.set(name, { weight: 0 });
    candidates.set(home, { active: 9 });
    expect(await ask(policy, candidates)).toBe(home);
    candidates.set(home, { active: 10 });
    expect(await ask(policy, candidates)).not.toBe(home);
  });

  it("goes by every figure that has a limit and is known", async () => {
    const policy = make("max-load", { connections: 10, cpu: 0.8 });
    const candidates = five();
    const home = await ask(policy, candidates);
    candidates.set(home, { reported: { cpu: 799 } });
    expect(await ask(policy, candidates)).toBe(home);
    candidates.set(home, { reported: { cpu: 800 } });
    expect(await ask(policy, candidates)).not.toBe(home);
    candidates.set(home, { reported: { cpu: -1 } });
    expect(await ask(policy, candidates)).toBe(home);
  });

  it("refuses a share above 1", () => {
    expect(() => make("max-load", { cpu: 80 })).toThrow(/cpu/);
  });
});
