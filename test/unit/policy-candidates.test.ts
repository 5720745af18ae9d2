import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fakeCandidates } from "../../src/policy/index.js";

const abc = () => fakeCandidates([{ address: "a" }, { address: "b", weight: 3 }, { address: "c" }]);

describe("candidates", () => {
  it("show the load table's figures of their own row", () => {
    const candidates = fakeCandidates([
      { address: "a", weight: 2, active: 3, latency: 4 },
      { address: "b", weight: 5, active: 6, latency: 7, labels: { zone: "eu" } },
    ]);
    expect(candidates.length).toBe(2);
    expect([candidates.weight(1), candidates.active(1), candidates.latency(1)]).toEqual([5, 6, 7]);
    expect(candidates.at(1)).toEqual({ slot: 1, address: "b", weight: 5, labels: { zone: "eu" } });
    expect(candidates.totalWeight()).toBe(7);
    candidates.set("b", { active: 9 });
    expect(candidates.active(1)).toBe(9);
  });

  it("narrow to one", () => {
    const candidates = abc();
    candidates.keep(2);
    expect(candidates.addresses()).toEqual(["c"]);
  });

  it("refuse positions that are not there", () => {
    const candidates = abc();
    candidates.keep(0);
    for (const position of [-1, 1, 0.5, Number.NaN]) {
      expect(() => candidates.at(position)).toThrow(RangeError);
      expect(() => candidates.weight(position)).toThrow(RangeError);
      expect(() => candidates.keep(position)).toThrow(RangeError);
    }
  });

  it("can be narrowed to none", () => {
    const candidates = abc();
    candidates.filter(() => false);
    expect(candidates.length).toBe(0);
    expect(() => candidates.at(0)).toThrow(RangeError);
  });

  it("filter like an array, in order, for any sequence of tests, and restore to the same set", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), { maxLength: 4 }),
        (rounds) => {
          const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
          const candidates = fakeCandidates(names.map((address) => ({ address })));
          let expected = names;
          for (const answers of rounds) {
            const seen: string[] = [];
            const before = expected;
            candidates.filter((i) => {
              seen.push(candidates.at(i).address);
              return answers[i] as boolean;
            });
            expect(seen).toEqual(before);
            expected = before.filter((_, i) => answers[i]);
            expect(candidates.addresses()).toEqual(expected);
          }
          candidates.restore(names.length);
          expect(candidates.addresses().sort()).toEqual(names);
        },
      ),
    );
  });

  it("stay whole if the test of a filter throws", () => {
    const candidates = abc();
    const boom = () =>
      candidates.filter((i) => {
        if (i === 2) throw new Error("boom");
        return i === 1;
      });
    expect(boom).toThrow("boom");
    expect(candidates.addresses().sort()).toEqual(["a", "b", "c"]);
  });

  it("are independent of a fork until they adopt it", () => {
    const candidates = abc();
    const fork = candidates.fork();
    fork.keep(1);
    expect(candidates.length).toBe(3);
    candidates.keep(0);
    candidates.adopt(fork);
    expect(candidates.addresses()).toEqual(["b"]);
  });
});
