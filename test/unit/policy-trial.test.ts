import { beforeEach, expect, test, vi } from "vitest";
import { type Backend, definePolicy, type PolicyEnv, z } from "../../src/policy/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";
import { tryPolicy } from "../../src/policy/trial.js";

const close = vi.fn();
/** What the policy does when it is made. */
let create: (options: { list: number[] }, env: PolicyEnv) => void;
let sharedBytes: () => number;

const registry = new PolicyRegistry([
  definePolicy({
    name: "tried",
    apiVersion: 1,
    options: z.custom<{ list: number[] }>(),
    needs: { headers: [] },
    sharedBytes: () => sharedBytes(),
    create: (options, env) => {
      create(options, env);
      return { select: () => {}, close };
    },
  }),
]);

beforeEach(() => {
  close.mockReset();
  sharedBytes = () => 0;
});

const backends = (...addresses: string[]) =>
  addresses.map((address) => ({ address, weight: 1, labels: { bad: String(address.length > 3) } }));

const attempt = (some: Omit<Backend, "slot">[], options: unknown = null) =>
  tryPolicy(registry, { pool: "web", name: "tried", options, backends: some }).map(({ error, backend }) => [
    error.code,
    error.message.replace(/^.*"web": /, ""),
    backend,
  ]);

/** Throws for the first backend that is bad. */
const refuseBad = (_: unknown, env: PolicyEnv) => {
  const bad = env.backends.find(({ labels }) => labels.bad === "true");
  if (bad !== undefined) throw new RangeError(`${bad.address} is bad`);
};

test("an instance gets what a worker's gets, and is closed", () => {
  sharedBytes = () => 16;
  const seen: unknown[] = [];
  create = (_, { pool, backends, candidates, shared }) => {
    seen.push(pool, backends, candidates().length, shared?.byteLength);
  };
  expect(attempt(backends("a", "b"))).toEqual([]);
  const [slots, labels] = [[0, 1], { bad: "false" }];
  const all = ["a", "b"].map((address, i) => ({ slot: slots[i], address, weight: 1, labels }));
  expect(seen).toEqual(["web", all, 2, 16]);
  expect(close).toHaveBeenCalledOnce();
});

test("what an instance does with its options and backends stays with it", () => {
  create = (options, env) => {
    options.list.push(1);
    (env.backends[0]!.labels as Record<string, string>).bad = "changed";
  };
  const options = Object.freeze({ list: Object.freeze([0]) });
  const some = backends("a");
  expect(attempt(some, options)).toEqual([]);
  expect(options).toEqual({ list: [0] });
  expect(some).toEqual(backends("a"));
});

test("each backend that is to blame is named, also where its address begins like another one", () => {
  create = refuseBad;
  expect(attempt(backends("a:1", "a:11", "b:1", "a:111"))).toEqual([
    ["LS_POLICY_CREATE", "a:11 is bad", 1],
    ["LS_POLICY_CREATE", "a:111 is bad", 3],
  ]);
});

test("no backend is blamed for what all of them are to blame for", () => {
  create = (_, env) => {
    if (env.backends.length > 1) throw new Error(`a and b are too many`);
  };
  expect(attempt(backends("a", "b"))).toEqual([["LS_POLICY_CREATE", "a and b are too many", undefined]]);
});

test("what only follows from leaving a backend out is not said", () => {
  create = (_, env) => {
    refuseBad(_, env);
    if (env.backends.length < 2) throw new Error("too few");
  };
  expect(attempt(backends("a:1", "a:11"))).toEqual([["LS_POLICY_CREATE", "a:11 is bad", 1]]);
});

test("many backends that are to blame do not take forever", () => {
  create = vi.fn(refuseBad);
  const many = backends(...Array.from({ length: 1000 }, (_, i) => `10.0.0.${i}`));
  expect(attempt(many)).toHaveLength(10);
  expect(vi.mocked(create).mock.calls.length).toBeLessThan(50);
});

test.each([
  [
    "throws",
    () => {
      throw new Error("no idea");
    },
  ],
  ["is none", () => Number.NaN],
])("a number of shared bytes that %s is a refusal", (_, bytes) => {
  sharedBytes = bytes;
  create = () => {};
  expect(attempt(backends("a"))).toEqual([
    ["LS_POLICY_CREATE", expect.stringContaining("sharedBytes"), undefined],
  ]);
});
