// Policies that go by the time to the response head: peak-ewma, least-time.
import { describe, expect, it } from "vitest";
import { builtinPolicies } from "../../policies/index.js";
import {
  type Backend,
  fakeCandidates,
  fakeContext,
  fakeEnv,
  fakeHead,
  fakeSummary,
  type Policy,
  pick,
} from "../../src/policy/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";

const registry = new PolicyRegistry(builtinPolicies);
const make = (name: string, options?: unknown): Policy =>
  registry.createChain([{ name, options }], fakeEnv());

const HEAD = fakeHead();
const PER_MILLISECOND = 2;

interface Exchange {
  readonly ends: number;
  readonly backend: Backend;
  readonly micros: number;
}

/** Backends that answer after a time of their own, and requests that come all the time. */
class Served {
  /** Milliseconds until a backend answers, by address; -1: it refuses at once. */
  readonly delays: Record<string, number>;
  private readonly candidates;
  private readonly active: Record<string, number>;
  private readonly latency: Record<string, number>;
  private pending: Exchange[] = [];
  private now = 0;

  constructor(
    private readonly policy: Policy,
    delays: Record<string, number>,
  ) {
    this.delays = { ...delays };
    const addresses = Object.keys(delays);
    this.candidates = fakeCandidates(addresses.map((address) => ({ address })));
    this.active = Object.fromEntries(addresses.map((address) => [address, 0]));
    this.latency = { ...this.active };
  }

  /** How many of the requests within these milliseconds each backend got. */
  run(milliseconds: number): Record<string, number> {
    const got = Object.fromEntries(Object.keys(this.delays).map((address) => [address, 0]));
    for (const end = this.now + milliseconds; this.now < end; this.now++) {
      this.answer();
      for (let n = 0; n < PER_MILLISECOND; n++) {
        const backend = this.ask();
        (got[backend.address] as number)++;
      }
    }
    return got;
  }

  private ask(): Backend {
    this.candidates.reset();
    void this.policy.select(HEAD, this.candidates, fakeContext({ now: this.now }));
    const backend = this.candidates.at(0);
    const delay = this.delays[backend.address] as number;
    const micros = delay < 0 ? 0 : delay * 1000 + ((this.now * 7) % 100);
    this.pending.push({ ends: this.now + Math.max(0, delay), backend, micros });
    this.count(backend.address, 1);
    return backend;
  }

  private answer(): void {
    const due = this.pending.filter(({ ends }) => ends <= this.now);
    this.pending = this.pending.filter(({ ends }) => ends > this.now);
    for (const { backend, micros } of due) {
      this.count(backend.address, -1);
      const ok = micros > 0;
      const status = ok ? 200 : 0;
      this.policy.onDone?.(
        fakeSummary(backend, { ok, status, headMicros: micros, totalMicros: micros + 50 }),
      );
      if (!ok) continue;
      // As the load table does it.
      const old = this.latency[backend.address] as number;
      const latency = old === 0 ? micros : old + Math.trunc((micros - old) / 8);
      this.latency[backend.address] = latency;
      this.candidates.set(backend.address, { latency });
    }
  }

  private count(address: string, change: number): void {
    const active = (this.active[address] as number) + change;
    this.active[address] = active;
    this.candidates.set(address, { active });
  }
}

describe.each([
  { name: "peak-ewma", options: undefined, recovery: 60_000 },
  { name: "least-time", options: undefined, recovery: 400_000 },
  { name: "least-time", options: { among: "two" }, recovery: 400_000 },
])("$name $options", ({ name, options, recovery }) => {
  it("prefers faster backends, and shares out among those that are alike", () => {
    const served = new Served(make(name, options), { a: 2, b: 2, c: 40 });
    served.run(2000);
    const got = served.run(10_000);
    expect(got.c).toBeLessThan(2000);
    expect(Math.abs((got.a as number) - (got.b as number))).toBeLessThan(2000);
  });

  it("shifts away from one that becomes slow, and comes back when it is well again", () => {
    const served = new Served(make(name, options), { a: 2, b: 2, c: 2 });
    expect(Math.min(...Object.values(served.run(5000)))).toBeGreaterThan(2000);
    served.delays.c = 300;
    served.run(1000);
    expect(served.run(5000).c).toBeLessThan(500);
    served.delays.c = 2;
    served.run(recovery);
    expect(served.run(5000).c).toBeGreaterThan(2000);
  });

  it("waits for an answer of a backend of which it knows nothing before it sends more", () => {
    const served = new Served(make(name, options), { a: 5, b: 5, c: 2000 });
    // Nobody has answered in the first milliseconds.
    expect(served.run(10).c).toBeLessThan(10);
    expect(served.run(1900).c).toBe(0);
  });

  it("takes the less busy one of two that are alike", async () => {
    const candidates = fakeCandidates([
      { address: "a", latency: 1000, active: 3 },
      { address: "b", latency: 1000, active: 2 },
    ]);
    const policy = make(name, options);
    for (const backend of candidates.backends) {
      policy.onDone?.(fakeSummary(backend, { headMicros: 1000, totalMicros: 1000 }));
    }
    for (let i = 0; i < 20; i++) expect((await pick(policy, candidates))?.address).toBe("b");
    // Weight 2: as if half as much were in flight.
    candidates.set("a", { weight: 2 });
    for (let i = 0; i < 20; i++) expect((await pick(policy, candidates))?.address).toBe("a");
  });
});

describe("peak-ewma", () => {
  it("takes a peak in full, and forgets it by and by", async () => {
    const policy = make("peak-ewma", { decaySeconds: 1 });
    const candidates = fakeCandidates([{ address: "a" }, { address: "b" }]);
    const [a, b] = candidates.backends as [Backend, Backend];
    const at = async (now: number) =>
      (await pick(policy, candidates, fakeHead(), fakeContext({ now })))?.address;
    const done = (backend: Backend, micros: number) =>
      policy.onDone?.(fakeSummary(backend, { headMicros: micros, totalMicros: micros }));
    await at(0);
    for (let i = 0; i < 100; i++) {
      done(a, 1000);
      done(b, 2000);
    }
    expect(await at(0)).toBe("a");
    done(a, 8000); // once is enough
    expect(await at(0)).toBe("b");
    await at(1500); // of 8 ms e^-1.5 is left, of 2 ms as well
    done(b, 2000);
    expect(await at(1500)).toBe("a"); // 1.79 ms against 2 ms
  });

  it("does not take a backend that refuses everything at once for a fast one", () => {
    const served = new Served(make("peak-ewma"), { good: 20, refuses: -1 });
    served.run(2000);
    const got = served.run(5000);
    expect(got.refuses).toBeLessThan(1000);
  });

  it("learns nothing of an exchange that the client gave up", async () => {
    const policy = make("peak-ewma");
    const candidates = fakeCandidates([{ address: "a" }, { address: "b" }]);
    const [a, b] = candidates.backends as [Backend, Backend];
    policy.onDone?.(fakeSummary(a, { headMicros: 1000, totalMicros: 1000 }));
    policy.onDone?.(fakeSummary(b, { headMicros: 2000, totalMicros: 2000 }));
    policy.onDone?.(fakeSummary(a, { ok: false, status: 499, headMicros: 0, totalMicros: 9e7 }));
    expect((await pick(policy, candidates))?.address).toBe("a");
  });

  it("learns of a response that the client did not want to the end how fast it began", async () => {
    const policy = make("peak-ewma");
    const candidates = fakeCandidates([{ address: "a" }, { address: "b" }]);
    const [a, b] = candidates.backends as [Backend, Backend];
    policy.onDone?.(fakeSummary(a, { ok: false, headMicros: 1000, totalMicros: 9e7 }));
    policy.onDone?.(fakeSummary(b, { headMicros: 2000, totalMicros: 2000 }));
    expect((await pick(policy, candidates))?.address).toBe("a");
  });

  it.each([0, 503])(
    "counts a failure (status %d) by the average, not by the time that it took",
    async (status) => {
      const policy = make("peak-ewma");
      const candidates = fakeCandidates([{ address: "a" }, { address: "b" }]);
      const [a, b] = candidates.backends as [Backend, Backend];
      const preferred = async () => (await pick(policy, candidates))?.address;
      policy.onDone?.(fakeSummary(a, { headMicros: 1000 }));
      policy.onDone?.(fakeSummary(b, { headMicros: 1900 }));
      policy.onDone?.(fakeSummary(b, { headMicros: 2100 }));
      expect(await preferred()).toBe("a");
      // Twice the average: 2 ms, less than 2.1.
      policy.onDone?.(fakeSummary(a, { ok: false, status, totalMicros: 6e7 }));
      expect(await preferred()).toBe("a");
      policy.onDone?.(fakeSummary(a, { ok: false, status, totalMicros: 6e7 }));
      expect(await preferred()).toBe("b");
    },
  );

  it("tries a backend of which it knows nothing, however busy others keep it, and then every few seconds", async () => {
    const policy = make("peak-ewma");
    const candidates = fakeCandidates([{ address: "a" }, { address: "b", active: 9 }]);
    const [a] = candidates.backends as [Backend, Backend];
    policy.onDone?.(fakeSummary(a, { headMicros: 1000 }));
    const at = async (now: number) => (await pick(policy, candidates, HEAD, fakeContext({ now })))?.address;
    expect([await at(0), await at(1), await at(4000), await at(6000), await at(6001)]).toEqual([..."baaba"]);
  });
});

describe.each([{ among: "all" }, { among: "two" }])("least-time %j", (options) => {
  it("tries a backend that it has not heard of for ten seconds, also while a long exchange occupies it", async () => {
    for (const latency of [0, 900_000]) {
      const candidates = fakeCandidates([
        { address: "fast", latency: 1000 },
        { address: "silent", latency, active: 1 },
      ]);
      const policy = make("least-time", options);
      const at = async (now: number) => (await pick(policy, candidates, HEAD, fakeContext({ now })))?.address;
      await at(0);
      let micros = 1000;
      const got: (string | undefined)[] = [];
      for (let second = 1; second <= 30; second++) {
        candidates.set("fast", { latency: ++micros });
        got.push(await at(1000 * second), await at(1000 * second + 1));
      }
      expect(got.filter((address) => address === "silent").length).toBe(3);
      expect(got.slice(0, 18)).not.toContain("silent");
    }
  });
});
