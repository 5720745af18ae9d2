import { describe, expect, it, vi } from "vitest";
import {
  definePolicy,
  fakeCandidates,
  fakeContext,
  fakeEnv,
  fakeHead,
  type PolicyModule,
  type SchemaResult,
  z,
} from "../../src/policy/index.js";
import { issuePath, PolicyRegistry, validateOptions } from "../../src/policy/registry.js";

const close = vi.fn();
const label = definePolicy({
  name: "label",
  apiVersion: 1,
  options: z.strictObject({ key: z.string(), value: z.string().default("yes") }),
  needs: { headers: ["X-B", "x-a"] },
  create: ({ key, value }) => ({
    select: (_head, candidates) => candidates.filter((i) => candidates.at(i).labels[key] === value),
    close,
  }),
});
const first = definePolicy({
  name: "first",
  apiVersion: 1,
  options: z.unknown(),
  needs: { headers: ["X-A"] },
  create: () => ({ select: (_head, candidates) => candidates.keep(0) }),
});
const broken = definePolicy({
  name: "broken",
  apiVersion: 1,
  options: z.unknown(),
  needs: { headers: [] },
  create: () => {
    throw new Error("no licence");
  },
});
/** Its options say what it looks at. */
const flexible = definePolicy({
  name: "flexible",
  apiVersion: 1,
  options: z.strictObject({ header: z.string().optional() }).prefault({}),
  choosesBy: ({ header }) => (header === undefined ? "load" : "request"),
  needs: ({ header }) => ({ headers: header === undefined ? [] : [header] }),
  create: () => ({ select: (_head, candidates) => candidates.keep(0) }),
});
const registry = new PolicyRegistry([label, first], [broken]);
const thrownBy = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe("the registry", () => {
  it("knows the policies of all groups by name", () => {
    expect(registry.names).toEqual(["label", "first", "broken"]);
    expect(registry.get("label")).toBe(label);
    expect(registry.get("other")).toBeUndefined();
  });

  it("refuses two policies of one name", () => {
    expect(thrownBy(() => new PolicyRegistry([label], [label]))).toMatchObject({ code: "LS_POLICY_NAME" });
  });

  it("collects the headers that a pool's policies need: lower case, each once", () => {
    const specs = [
      { name: "label", options: { key: "zone" } },
      { name: "first", options: undefined },
    ];
    expect(registry.headersFor(specs)).toEqual(["x-a", "x-b"]);
  });

  it("asks for what a pool's policies need with the options of that pool", () => {
    const learner = definePolicy({
      name: "learner",
      apiVersion: 1,
      options: z.strictObject({ by: z.string(), learn: z.boolean().default(false) }),
      choosesBy: ({ learn }) => (learn ? "request" : "target"),
      needs: ({ by, learn }) => ({ headers: [by], ...(learn ? { responseHeaders: ["X-Kind"] } : {}) }),
      create: () => ({ select: () => {} }),
    });
    const asked = (options: unknown) => {
      const registry = new PolicyRegistry([learner]);
      const specs = [{ name: "learner", options }];
      return [registry.headersFor(specs), registry.responseHeadersFor(specs), registry.traitsOf(specs)];
    };
    const traits = { changesResponses: false };
    const blind = { ...traits, choosesBy: "target", readsResponses: false };
    expect(asked({ by: "X-A" })).toEqual([["x-a"], null, blind]);
    const learning = { ...traits, choosesBy: "request", readsResponses: true };
    expect(asked({ by: "X-B", learn: true })).toEqual([["x-b"], ["x-kind"], learning]);
    expect(thrownBy(() => asked({ by: 1 }))).toMatchObject({ code: "LS_POLICY_OPTIONS" });
  });

  it.each([
    [["load"], "load"],
    [["load", "client"], "load"],
    [["load", "target"], "target"],
    // The choice for one client says nothing of another one that asks for the same target.
    [["client", "target"], "request"],
    [["client", undefined], "request"],
  ] as const)("takes policies that choose by %j together for ones that choose by %s", (bases, together) => {
    const modules = bases.map((choosesBy, i) => ({
      ...first,
      name: `p${i}`,
      ...(choosesBy === undefined ? {} : { choosesBy }),
    }));
    const specs = modules.map(({ name }) => ({ name, options: undefined }));
    expect(new PolicyRegistry(modules).traitsOf(specs).choosesBy).toBe(together);
  });

  it("knows what a policy looks at that leaves it to its options", () => {
    const flexibles = new PolicyRegistry([flexible]);
    const specs = (options: unknown) => [{ name: "flexible", options }];
    expect(flexibles.headersFor(specs(undefined))).toEqual([]);
    expect(flexibles.traitsOf(specs(undefined)).choosesBy).toBe("load");
    expect(flexibles.headersFor(specs({ header: "X-User" }))).toEqual(["x-user"]);
    expect(flexibles.traitsOf(specs({ header: "X-User" })).choosesBy).toBe("request");
    expect(fakeHead({ headers: { "x-user": "u" } }, flexible, { header: "X-User" }).header("x-user")).toBe(
      "u",
    );
    expect(fakeHead({ headers: { "x-user": "u" } }, flexible, {}).header("x-user")).toBeUndefined();
    const wrong = thrownBy(() => flexibles.traitsOf(specs({ header: 1 })));
    expect(wrong).toMatchObject({ code: "LS_POLICY_OPTIONS" });
  });

  it("makes a chain with checked and completed options", async () => {
    const specs = [
      { name: "label", options: { key: "zone" } },
      { name: "first", options: undefined },
    ];
    const chain = registry.createChain(specs, fakeEnv());
    const candidates = fakeCandidates([
      { address: "a" },
      { address: "b", labels: { zone: "yes" } },
      { address: "c", labels: { zone: "yes" } },
    ]);
    await chain.select(fakeHead(), candidates, fakeContext());
    expect(candidates.addresses()).toEqual(["b"]);
  });

  it("says which policy of which pool refuses which option", () => {
    const error = thrownBy(() => registry.createChain([{ name: "label", options: { key: 1 } }], fakeEnv()));
    expect(error).toMatchObject({ code: "LS_POLICY_OPTIONS" });
    expect(String(error)).toMatch(/"label" of pool "test": options\.key: .*string/);
  });

  it("names the known policies when it does not know one", () => {
    const error = thrownBy(() => registry.createChain([{ name: "lable", options: null }], fakeEnv()));
    expect(error).toMatchObject({ code: "LS_POLICY_UNKNOWN" });
    expect(String(error)).toContain("label, first, broken");
  });

  it("closes the policies made so far when the next one cannot be made", () => {
    close.mockClear();
    const specs = [
      { name: "label", options: { key: "zone" } },
      { name: "broken", options: null },
    ];
    const error = thrownBy(() => registry.createChain(specs, fakeEnv()));
    expect(error).toMatchObject({ code: "LS_POLICY_CREATE", cause: new Error("no licence") });
    expect(close).toHaveBeenCalledOnce();
  });

  it("refuses an instance without select()", () => {
    const empty = { ...first, name: "empty", create: () => ({}) } as unknown as PolicyModule<unknown>;
    const make = () => new PolicyRegistry([empty]).createChain([{ name: "empty", options: null }], fakeEnv());
    expect(thrownBy(make)).toMatchObject({ code: "LS_POLICY_CREATE" });
  });

  it("refuses to wait for an instance, and ends one that comes late", async () => {
    const made = { select: () => {}, close: vi.fn() };
    const slow = (create: () => unknown) => {
      const registry = new PolicyRegistry([{ ...first, name: "slow", create } as PolicyModule<unknown>]);
      return String(thrownBy(() => registry.createChain([{ name: "slow", options: null }], fakeEnv())));
    };
    expect(slow(async () => made)).toContain('"slow" of pool "test": create() is asynchronous');
    await expect.poll(() => made.close).toHaveBeenCalledOnce();
    // An unhandled rejection would fail the run.
    expect(slow(() => Promise.reject(new Error("late")))).toContain("create() is asynchronous");
    await new Promise(setImmediate);
  });

  const { proxy: untouchable, revoke } = Proxy.revocable({}, {});
  revoke();

  it.each([
    ["an error without a message", new RangeError(), "RangeError"],
    ["an object", { reason: 7 }, "{ reason: 7 }"],
    ["nothing", undefined, "undefined"],
    ["what nobody can look at", untouchable, "something that cannot be shown was thrown"],
  ])("refuses a policy that throws %s", (_, thrown, said) => {
    const create = () => {
      throw thrown;
    };
    const registry = new PolicyRegistry([{ ...first, name: "odd", create }]);
    const error = thrownBy(() => registry.createChain([{ name: "odd", options: null }], fakeEnv()));
    expect(error).toMatchObject({ code: "LS_POLICY_CREATE" });
    expect(String(error)).toMatch(`policy "odd" of pool "test": ${said}`);
  });

  it.each([-1, 0.5, Number.NaN, 1e15, "8", () => 1])("refuses to share %s bytes", (bytes) => {
    const greedy = { ...first, name: "greedy", sharedBytes: () => bytes } as unknown as PolicyModule<unknown>;
    const registry = new PolicyRegistry([greedy]);
    expect(thrownBy(() => registry.sharedBytes("greedy", null))).toMatchObject({ code: "LS_POLICY_CREATE" });
  });

  it("says so when the number of shared bytes cannot be had", () => {
    const failing = {
      ...first,
      name: "failing",
      sharedBytes: () => {
        throw new Error("no idea");
      },
    } as unknown as PolicyModule<unknown>;
    const error = thrownBy(() => new PolicyRegistry([failing]).sharedBytes("failing", null));
    expect(error).toMatchObject({ code: "LS_POLICY_CREATE" });
    expect(String(error)).toContain("sharedBytes threw: no idea");
  });
});

describe("the check of options", () => {
  const withSchema = (
    validate: (value: unknown) => SchemaResult<unknown> | Promise<SchemaResult<unknown>>,
  ) => ({
    ...first,
    options: { "~standard": { version: 1 as const, vendor: "test", validate } },
  });

  it("turns an asynchronous or failing schema into an issue", () => {
    const asynchronous = withSchema(async (value) => ({ value }));
    expect(validateOptions(asynchronous, 1).issues?.[0]?.message).toMatch(/asynchronous/);
    const failing = withSchema(() => {
      throw new Error("oops");
    });
    expect(validateOptions(failing, 1).issues?.[0]?.message).toMatch(/oops/);
  });

  it("includes what the policy makes of them", () => {
    const message = (options: object) => validateOptions(flexible, options).issues?.[0]?.message;
    expect(message({ header: "x-user" })).toBeUndefined();
    expect(message({ header: "x user" })).toMatch(
      /needs.headers is \["x user"\], expected an array of header names/,
    );
    const needs = () => {
      throw new Error("no idea");
    };
    expect(validateOptions({ ...flexible, needs }, {}).issues?.[0]?.message).toMatch(/no idea/);
  });

  it("gives the path of an issue as plain keys, whichever form the schema library has", () => {
    expect(issuePath({ message: "", path: ["a", { key: 0 }, "b"] })).toEqual(["a", 0, "b"]);
    expect(issuePath({ message: "" })).toEqual([]);
  });
});
