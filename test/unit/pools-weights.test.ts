import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { slowStartShare, weightsInEffect } from "../../src/pools/weights.js";

describe("a slow start", () => {
  it("grows in ten steps from a tenth to the whole", () => {
    const shares = Array.from({ length: 11 }, (_, i) => slowStartShare(i * 3000, 30_000));
    expect(shares).toEqual([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1]);
    expect(slowStartShare(2999, 30_000)).toBe(0.1);
    expect(slowStartShare(0, 0)).toBe(1);
  });
});

describe("the weights in effect", () => {
  it("are the configured ones where nobody ever has a part", () => {
    const backends = [
      { weight: 3, share: 1 },
      { weight: 0, share: 1 },
    ];
    expect(weightsInEffect(backends, false)).toEqual([3, 0]);
    expect(weightsInEffect(backends, true)).toEqual([300, 0]);
  });

  it("are all scaled where one may have a part, so that there are parts of 1", () => {
    const backends = [
      { weight: 1, share: 1 },
      { weight: 2, share: 0.1 },
      { weight: 5, share: 0 },
    ];
    expect(weightsInEffect(backends, true)).toEqual([100, 20, 0]);
  });

  it("are whole, in proportion, together less than 2^31, and 0 only where nothing is wanted", () => {
    const backend = fc.record({
      weight: fc.integer({ min: 0, max: 65_535 }),
      share: fc.integer({ min: 0, max: 100 }).map((percent) => percent / 100),
    });
    fc.assert(
      fc.property(fc.array(backend, { minLength: 1, maxLength: 4096 }), (backends) => {
        const weights = weightsInEffect(backends, true);
        expect(weights.every(Number.isInteger)).toBe(true);
        expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeLessThan(2 ** 31);
        expect(weights.map((weight) => weight === 0)).toEqual(
          backends.map(({ weight, share }) => weight * share === 0),
        );
        const whole = backends.findIndex(({ weight, share }) => weight > 0 && share === 1);
        if (whole < 0) return;
        const scale = (weights[whole] as number) / backends[whole]!.weight;
        backends.forEach(({ weight, share }, i) => {
          expect(Math.abs((weights[i] as number) - weight * share * scale)).toBeLessThanOrEqual(1);
        });
      }),
    );
  });
});
