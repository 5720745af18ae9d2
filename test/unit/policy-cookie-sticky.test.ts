import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cookieSticky } from "../../policies/cookie-sticky/index.js";
import { Seal } from "../../policies/cookie-sticky/seal.js";
import {
  type FakeCandidates,
  fakeCandidates,
  fakeContext,
  fakeEnv,
  fakeHead,
  type Policy,
} from "../../src/policy/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";

const SECRET = "correct horse battery staple";
const registry = new PolicyRegistry([cookieSticky]);

const backends = () => fakeCandidates(["a", "b", "c", "d"].map((address) => ({ address })));

/** A worker's policy. */
function make(candidates: FakeCandidates, options: object = {}, pool = "shop"): Policy {
  const specs = [{ name: "cookie-sticky", options: { secret: SECRET, ...options } }];
  return registry.createChain(specs, fakeEnv({ pool, backends: candidates.backends }));
}

/** Who gets a request with this `cookie` header, and the `set-cookie` of its response. */
function ask(policy: Policy, candidates: FakeCandidates, cookie?: string) {
  const added: [string, string][] = [];
  candidates.reset();
  void policy.select(
    fakeHead({ headers: cookie === undefined ? {} : { cookie } }, cookieSticky),
    candidates,
    fakeContext({ addResponseHeader: (name, value) => void added.push([name, value]) }),
  );
  expect(candidates.length).toBe(1);
  expect(added.length).toBeLessThanOrEqual(1);
  if (added[0]) expect(added[0][0]).toBe("set-cookie");
  return { address: candidates.at(0).address, set: added[0]?.[1] };
}

/** `NAME=VALUE` of a `set-cookie`. */
const pairOf = (set: string | undefined) => set!.split(";")[0]!;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: 1_800_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("cookie-sticky", () => {
  it("gives a new client a cookie, and keeps it with its backend in every worker", () => {
    const candidates = backends();
    const [first, second] = [make(candidates), make(candidates)];
    for (let n = 0; n < 40; n++) {
      const { address, set } = ask(first, candidates);
      const cookie = pairOf(set);
      for (const policy of [first, second, first, second]) {
        expect(ask(policy, candidates, cookie)).toEqual({ address, set: undefined });
      }
    }
  });

  it("gives new clients to the backend with the least load", () => {
    const candidates = backends();
    for (const address of ["a", "b", "d"]) candidates.set(address, { active: 3 });
    expect(ask(make(candidates), candidates).address).toBe("c");
  });

  it("names the backend by a keyed hash, for one pool, with the attributes that keep scripts and other sites out", () => {
    const candidates = fakeCandidates([{ address: "10.0.0.1:80" }]);
    const { set } = ask(make(candidates), candidates);
    expect(set).toMatch(/^longsplice-shop=[\w-]{12}\.0\.[\w-]{22}; Path=\/; HttpOnly; SameSite=Lax$/);
    const nameIn = (cookie: string | undefined) => /=([\w-]{12})\./.exec(cookie!)![1];
    const elsewhere = [
      ask(make(candidates, {}, "other"), candidates),
      ask(make(candidates, { secret: "another secret of ours" }), candidates),
    ];
    for (const other of elsewhere) expect(nameIn(other.set)).not.toBe(nameIn(set));
  });

  it("writes the attributes that the options ask for", () => {
    const candidates = backends();
    const options = { cookie: "home", path: "/shop", maxAge: 3600, sameSite: "none", secure: true };
    expect(ask(make(candidates, options), candidates).set).toMatch(
      /^home=[\w.-]+; Path=\/shop; HttpOnly; SameSite=None; Secure; Max-Age=3600$/,
    );
  });

  it("finds its cookie among others", () => {
    const candidates = backends();
    const policy = make(candidates);
    const { address, set } = ask(policy, candidates);
    const cookie = pairOf(set);
    const stale = cookie.replace("=", "=x");
    for (const header of [
      `a=1; ${cookie}; b=2`,
      `a=1;${cookie}`,
      `x-longsplice-shop=1; ${cookie}`,
      `x${stale}; ${cookie}`,
    ]) {
      expect(ask(policy, candidates, header), header).toEqual({ address, set: undefined });
    }
    for (const header of [`x${cookie}`, "longsplice-shop", "longsplice-shop=", "", "; ;="]) {
      expect(ask(policy, candidates, header).set, header).toBeDefined();
    }
  });

  it("takes the first genuine one of several cookies of its name, among the first four", () => {
    const candidates = backends();
    const policy = make(candidates);
    candidates.set("b", { active: -1 });
    const cookie = pairOf(ask(policy, candidates).set);
    candidates.set("b", { active: 5 });
    const behind = (others: number) =>
      ask(policy, candidates, `${"longsplice-shop=stale; ".repeat(others)}${cookie}; a=1`);
    for (const others of [0, 1, 3]) expect(behind(others)).toEqual({ address: "b", set: undefined });
    expect(behind(4).set).toBeDefined();
  });

  it.each([
    [undefined, 1000],
    [10_000, 1000],
    [1000, 10_000],
    [1000, undefined],
  ])("renews cookies when maxAge was changed from %s to %s", (before, after) => {
    const candidates = backends();
    const { address, set } = ask(make(candidates, { maxAge: before }), candidates);
    const policy = make(candidates, { maxAge: after });
    const renewed = ask(policy, candidates, pairOf(set));
    expect(renewed).toMatchObject({ address, set: expect.any(String) });
    expect(ask(policy, candidates, pairOf(renewed.set))).toEqual({ address, set: undefined });
  });

  it("goes on after 2038", () => {
    vi.setSystemTime(2_400_000_000_000);
    const candidates = backends();
    const policy = make(candidates, { maxAge: 1000 });
    const { address, set } = ask(policy, candidates);
    expect(ask(policy, candidates, pairOf(set))).toEqual({ address, set: undefined });
  });

  it("refuses what is altered in any place, forged, or made with another secret or for another pool", () => {
    const candidates = backends();
    const policy = make(candidates);
    candidates.set("a", { active: -1 });
    const { address, set } = ask(policy, candidates);
    expect(address).toBe("a");
    candidates.set("a", { active: 5 });
    const cookie = pairOf(set);
    const start = cookie.indexOf("=") + 1;
    const refused = Array.from({ length: cookie.length - start }, (_, i) => {
      const at = start + i;
      const other = cookie[at] === "." ? "-" : cookie[at] === "7" ? "8" : "7";
      return cookie.slice(0, at) + other + cookie.slice(at + 1);
    });
    const name = cookie.slice(start, start + 12);
    const value = (seal: Seal) => seal.seal({ backend: name, expiry: 0 });
    refused.push(
      `${cookie}x`,
      cookie.slice(0, -1),
      `longsplice-shop=${name}.0.${"A".repeat(22)}`,
      `longsplice-shop=${name}.00.${cookie.slice(-22)}`,
      `longsplice-shop=${name}`,
      "longsplice-shop=a",
      `longsplice-shop=${value(new Seal("another secret of ours", "shop"))}`,
      `longsplice-shop=${value(new Seal(SECRET, "other"))}`,
      `longsplice-shop=${"\u00e9".repeat(12)}.0.${"\u00e9".repeat(22)}`,
    );
    for (const forged of refused) {
      const answer = ask(policy, candidates, forged);
      expect(answer.address, forged).not.toBe("a");
      expect(answer.set, forged).toBeDefined();
    }
    expect(ask(policy, candidates, cookie)).toEqual({ address: "a", set: undefined });
    expect(`longsplice-shop=${value(new Seal(SECRET, "shop"))}`).toBe(cookie);
  });

  it("refuses an expired cookie, also one that it has seen before, and renews it when half of its time is over", () => {
    const candidates = backends();
    const policy = make(candidates, { maxAge: 1000 });
    candidates.set("b", { active: -1 });
    const cookie = pairOf(ask(policy, candidates).set);
    candidates.set("b", { active: 5 });
    const later = (seconds: number) => {
      vi.setSystemTime(1_800_000_000_000 + seconds * 1000);
      return ask(policy, candidates, cookie);
    };
    expect(later(0)).toEqual({ address: "b", set: undefined });
    expect(later(499)).toEqual({ address: "b", set: undefined });
    const renewed = later(600);
    expect(renewed.address).toBe("b");
    expect(later(999).address).toBe("b");
    expect(later(1000)).toMatchObject({ set: expect.any(String) });
    expect(later(1000).address).not.toBe("b");
    expect(ask(policy, candidates, pairOf(renewed.set)).address).toBe("b");
    // Nobody prolongs it: the time is signed.
    const [name, expiry, signature] = cookie.split(".");
    const longer = `${name}.${(Number.parseInt(expiry!, 36) + 5000).toString(36)}.${signature}`;
    expect(ask(policy, candidates, longer).address).not.toBe("b");
  });

  it("gives a client whose backend is gone another one, and another cookie", () => {
    const candidates = backends();
    const policy = make(candidates);
    const { address, set } = ask(policy, candidates);
    candidates.set(address, { eligible: false });
    const moved = ask(policy, candidates, pairOf(set));
    expect(moved.address).not.toBe(address);
    candidates.set(address, { eligible: true });
    expect(ask(policy, candidates, pairOf(moved.set))).toEqual({ address: moved.address, set: undefined });
    // A pool that does not have it any more.
    const rest = fakeCandidates([{ address: "x" }, { address: "y" }]);
    expect(ask(make(rest), rest, pairOf(set)).set).toBeDefined();
  });

  it("gives a backend of weight 0 no new clients, and leaves it those that it has", () => {
    const candidates = backends();
    const policy = make(candidates);
    const { address, set } = ask(policy, candidates);
    candidates.set(address, { weight: 0 });
    expect(ask(policy, candidates, pairOf(set)).address).toBe(address);
    for (let n = 0; n < 50; n++) expect(ask(policy, candidates).address).not.toBe(address);
  });

  it("remembers more sessions than it has room for", () => {
    const candidates = backends();
    const policy = make(candidates);
    const seal = new Seal(SECRET, "shop");
    const sessions = Array.from({ length: 6000 }, (_, n) => {
      const backend = seal.nameOf("abcd"[n % 4]!);
      return `longsplice-shop=${seal.seal({ backend, expiry: 1_900_000_000 + n })}`;
    });
    for (let round = 0; round < 2; round++) {
      for (const [n, cookie] of sessions.entries())
        expect(ask(policy, candidates, cookie).address).toBe("abcd"[n % 4]);
    }
  });

  it("allocates nothing for a session that it knows", () => {
    const candidates = backends();
    const module = cookieSticky.create(
      { secret: SECRET, path: "/", sameSite: "lax", secure: false },
      fakeEnv({ backends: candidates.backends }),
    );
    let cookie = "";
    const context = fakeContext({
      addResponseHeader: (_, value) => {
        cookie = pairOf(value);
      },
    });
    void module.select(fakeHead(), candidates, context);
    const header = `theme=dark; ${cookie}; lang=en`;
    const head = { ...fakeHead(), header: () => header };
    const choose = (times: number) => {
      for (let i = 0; i < times; i++) {
        candidates.restore(4);
        void module.select(head, candidates, context);
      }
    };
    choose(200_000);
    const bytes = Array.from({ length: 5 }, () => {
      const before = process.memoryUsage().heapUsed;
      choose(20_000);
      return process.memoryUsage().heapUsed - before;
    });
    expect(Math.min(...bytes.filter((grown) => grown >= 0)) / 20_000).toBeLessThan(1);
  });
});

describe("the options of cookie-sticky", () => {
  it.each([
    [undefined, /options.secret: expected a secret that all proxies/],
    [{ secret: "short" }, /options.secret: expected at least 16 characters/],
    [{ secret: SECRET, cookie: "a b" }, /options.cookie: expected the name of a cookie/],
    [{ secret: SECRET, path: "/; Domain=x" }, /options.path: expected a path/],
    [{ secret: SECRET, sameSite: "none" }, /options.sameSite: none needs secure/],
    [{ secret: SECRET, maxAge: 0 }, /options.maxAge/],
  ])("refuse %j", (options, message) => {
    const make = () => registry.createChain([{ name: "cookie-sticky", options }], fakeEnv());
    expect(make).toThrow(message);
  });
});
