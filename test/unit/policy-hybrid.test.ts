import { describe, expect, it } from "vitest";
import { isCacheable } from "../../policies/hybrid/cacheable.js";
import { hybrid } from "../../policies/hybrid/index.js";
import {
  fakeCandidates,
  fakeContext,
  fakeEnv,
  fakeHead,
  fakeSummary,
  type Policy,
  pick,
} from "../../src/policy/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";

const registry = new PolicyRegistry([hybrid]);
const fakes = ["a", "b", "c", "d"].map((address) => ({ address }));
const candidates = fakeCandidates(fakes);
const FRESH = { "cache-control": "max-age=60" };

function make(options: object = {}, shared: SharedArrayBuffer | null = null, worker = 0): Policy {
  const { backends } = candidates;
  return registry.createChain([{ name: "hybrid", options, shared }], fakeEnv({ backends, worker }));
}

async function choices(
  policy: Policy,
  target: string,
  times: number,
  now = 0,
  method = "GET",
): Promise<string> {
  let out = "";
  for (let i = 0; i < times; i++) {
    out += (await pick(policy, candidates, fakeHead({ target, method }), fakeContext({ now })))?.address;
  }
  return out;
}

function done(
  policy: Policy,
  target: string,
  responseHeaders: Record<string, string>,
  more: object = {},
): void {
  policy.onDone?.(fakeSummary(candidates.backends[0]!, { target, responseHeaders, ...more }));
}

const isOne = (text: string) => new Set(text).size === 1;

describe("what a shared cache may keep", () => {
  const date = "Fri, 27 Nov 2026 10:00:00 GMT";
  const later = "Fri, 27 Nov 2026 11:00:00 GMT";
  it.each<[boolean, Record<string, string>, number?]>([
    [true, { "cache-control": "max-age=60" }],
    [true, { "cache-control": "Public" }],
    [true, { "cache-control": 'public, max-age="60"' }],
    [false, { "cache-control": "max-age=0" }],
    [false, { "cache-control": "max-age=60, s-maxage=0" }],
    [true, { "cache-control": "max-age=0, s-maxage=60" }],
    [false, { "cache-control": "no-store" }],
    [false, { "cache-control": "max-age=60,no-cache" }],
    [false, { "cache-control": "PRIVATE, max-age=60" }],
    [false, { "cache-control": "must-revalidate" }],
    [true, { "cache-control": "must-revalidate", "last-modified": date }],
    [true, { expires: later, date }],
    [false, { expires: date, date: later }],
    [false, { expires: date, date }],
    [false, { expires: "0", date }],
    [false, { expires: "-1", date, "last-modified": date }],
    [true, { expires: date, "cache-control": "max-age=60", date: later }],
    [false, { pragma: "no-cache", "last-modified": date }],
    [true, { "last-modified": date }],
    [false, {}],
    [false, { ...FRESH, "set-cookie": "a=b" }],
    [false, { ...FRESH, vary: "*" }],
    [true, { ...FRESH, vary: "accept-encoding" }],
    [true, FRESH, 404],
    [false, FRESH, 206],
    [false, FRESH, 302],
    [false, FRESH, 403],
  ])("%s: %j %s", (expected, responseHeaders, status = 200) => {
    expect(isCacheable(fakeSummary(candidates.backends[0]!, { status, responseHeaders }))).toBe(expected);
  });
});

describe("hybrid", () => {
  it("takes turns for what is not known, and a place for what is cacheable", async () => {
    const policy = make();
    expect(await choices(policy, "/page", 8)).toBe("abcdabcd");
    done(policy, "/page", FRESH);
    expect(isOne(await choices(policy, "/page", 8))).toBe(true);
    expect(await choices(policy, "/other", 4)).toBe("abcd");
  });

  it("spreads cacheable URLs over all backends, and keeps them there when another one leaves", async () => {
    const policy = make();
    const targets = Array.from({ length: 400 }, (_, i) => `/item/${i}`);
    for (const target of targets) done(policy, target, FRESH);
    const all = async () => {
      let out = "";
      for (const target of targets) out += await choices(policy, target, 1);
      return out;
    };
    const before = await all();
    for (const address of "abcd")
      expect([...before].filter((each) => each === address).length).toBeGreaterThan(60);
    candidates.set("b", { eligible: false });
    const after = await all();
    candidates.set("b", { eligible: true });
    const moved = [...before].filter((address, i) => address !== after[i]);
    expect(new Set(moved)).toEqual(new Set(["b"]));
  });

  it("takes turns again when a response says that it may not be kept", async () => {
    const policy = make();
    done(policy, "/page", FRESH);
    done(policy, "/page", { "cache-control": "no-store" });
    expect(await choices(policy, "/page", 4)).toBe("abcd");
  });

  it("takes turns for methods that are not GET or HEAD", async () => {
    const policy = make();
    done(policy, "/page", FRESH, { method: "POST" });
    expect(await choices(policy, "/page", 4)).toBe("abcd");
    done(policy, "/page", FRESH);
    expect(isOne(await choices(policy, "/page", 4, 0, "HEAD"))).toBe(true);
    expect(await choices(policy, "/page", 4, 0, "POST")).toBe("abcd");
  });

  it("takes turns for what is larger than a cache keeps, by its declared size or its bytes", async () => {
    const policy = make({ largest: 1000 });
    done(policy, "/large", { ...FRESH, "content-length": "1001" });
    done(policy, "/chunked", FRESH, { bytes: 5000 });
    done(policy, "/fits", { ...FRESH, "content-length": "1000" });
    expect(await choices(policy, "/large", 4)).toBe("abcd");
    expect(await choices(policy, "/chunked", 4)).toBe("abcd");
    expect(isOne(await choices(policy, "/fits", 4))).toBe(true);
  });

  it("forgets after a while, unless responses renew what it knows", async () => {
    const policy = make({ remember: 60 });
    done(policy, "/page", FRESH);
    expect(isOne(await choices(policy, "/page", 4, 60_000))).toBe(true);
    done(policy, "/page", {}, { status: 304 });
    expect(isOne(await choices(policy, "/page", 4, 119_000))).toBe(true);
    expect(await choices(policy, "/page", 4, 121_000)).toBe("abcd");
  });

  it("learns nothing from errors that pass, parts and confirmations", async () => {
    const policy = make();
    done(policy, "/known", FRESH);
    for (const status of [206, 304, 429, 500, 503]) {
      done(policy, "/known", {}, { status });
      done(policy, "/unknown", FRESH, { status });
    }
    done(policy, "/known", {}, { status: 0, ok: false });
    expect(isOne(await choices(policy, "/known", 8))).toBe(true);
    expect(await choices(policy, "/unknown", 4)).toBe("abcd");
  });

  it("has one memory for all workers", async () => {
    const shared = new SharedArrayBuffer(registry.sharedBytes("hybrid", undefined));
    const [one, other] = [make({}, shared), make({}, shared, 1)];
    done(one, "/page", FRESH);
    const place = await choices(one, "/page", 3);
    expect(isOne(place)).toBe(true);
    expect(await choices(other, "/page", 3)).toBe(place);
    expect(await choices(other, "/other", 4)).toBe("bcda");
  });

  it("needs the heads of requests and responses", () => {
    expect(registry.traitsOf([{ name: "hybrid", options: {} }])).toMatchObject({
      choosesBy: "request",
      readsResponses: true,
    });
  });
});
