import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  forget,
  healthOf,
  isEligible,
  isUsable,
  observe,
  setAdvised,
  setDraining,
  setEjected,
  UNKNOWN,
} from "../../src/pools/health.js";

const thresholds = { rise: 2, fall: 3 };
/** Health after each check of a history like "++-". */
const history = (checks: string, start = UNKNOWN) => {
  let state = start;
  return [...checks].map((check) => {
    state = observe(state, check === "+", thresholds);
    return healthOf(state);
  });
};
const stateAfter = (checks: string) =>
  [...checks].reduce((state, check) => observe(state, check === "+", thresholds), UNKNOWN);

describe("health", () => {
  it("is unknown, and good enough for requests, until a check says otherwise", () => {
    expect(healthOf(UNKNOWN)).toBe("unknown");
    expect(isEligible(UNKNOWN)).toBe(true);
  });

  it("of an unknown backend is healthy after one passed check, unhealthy after `fall` failed ones", () => {
    expect(history("+")).toEqual(["healthy"]);
    expect(history("---")).toEqual(["unknown", "unknown", "unhealthy"]);
  });

  it("falls after `fall` failures in a row, not in sum", () => {
    expect(history("+--+--+---").at(-2)).toBe("healthy");
    expect(history("+--+--+---").at(-1)).toBe("unhealthy");
  });

  it("rises after `rise` passed checks in a row, not in sum", () => {
    expect(history("---+-+-+")).not.toContain("healthy");
    expect(history("---+-++").at(-1)).toBe("healthy");
  });

  it("is draining between drain and enable, while the checks go on underneath", () => {
    const drained = setDraining(stateAfter("+"), true);
    expect(healthOf(drained)).toBe("draining");
    expect(isEligible(drained)).toBe(false);
    expect(history("---", drained)).toEqual(["draining", "draining", "draining"]);
    const failed = [..."---"].reduce((state) => observe(state, false, thresholds), drained);
    expect(healthOf(setDraining(failed, false))).toBe("unhealthy");
  });

  it("is unknown again when nobody checks any more, but stays draining", () => {
    expect(healthOf(forget(stateAfter("---")))).toBe("unknown");
    expect(healthOf(forget(setDraining(stateAfter("---"), true)))).toBe("draining");
  });

  it("is unhealthy while ejected, whatever the checks say, and then what they said", () => {
    const ejected = setEjected(stateAfter("+"), true);
    expect([healthOf(ejected), isEligible(ejected), isUsable(ejected)]).toEqual(["unhealthy", false, true]);
    expect(history("++", ejected)).toEqual(["unhealthy", "unhealthy"]);
    expect(healthOf(setEjected(ejected, false))).toBe("healthy");
    expect(healthOf(forget(ejected))).toBe("unhealthy");
  });

  it("of an ejected backend is draining by order, and the order ends the ejection", () => {
    const drained = setDraining(setEjected(stateAfter("+"), true), true);
    expect(healthOf(drained)).toBe("draining");
    expect(healthOf(setDraining(drained, false))).toBe("healthy");
  });

  it("is what the backend says of itself, unless that is better than what is known", () => {
    const say = (advised: "up" | "drain" | "down", checks: string) =>
      healthOf(setAdvised(stateAfter(checks), advised));
    expect([say("up", "+"), say("drain", "+"), say("down", "+")]).toEqual([
      "healthy",
      "draining",
      "unhealthy",
    ]);
    expect([say("up", "---"), say("down", "---")]).toEqual(["unhealthy", "unhealthy"]);
  });

  it("agrees, for any history, with the last run of equal results that was long enough", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 30 }), (results) => {
        let expected = "unknown";
        results.forEach((passed, i) => {
          const run = (length: number) =>
            i + 1 >= length && results.slice(i + 1 - length, i + 1).every((r) => r === passed);
          if (passed && (expected === "unknown" || run(thresholds.rise))) expected = "healthy";
          if (!passed && run(thresholds.fall)) expected = "unhealthy";
        });
        const state = results.reduce((current, passed) => observe(current, passed, thresholds), UNKNOWN);
        expect(healthOf(state)).toBe(expected);
      }),
    );
  });
});
