import { expect, it } from "vitest";
import { firstPauseOf, pauseOf } from "../../src/pools/pause.js";

it("pauses stray by a tenth, and are none that a timer cannot wait", () => {
  expect([pauseOf(1000, 0), pauseOf(1000, 0.5), firstPauseOf(1000, 0.5)]).toEqual([900, 1000, 50]);
  expect(pauseOf(24 * 86_400_000, 0.999)).toBe(2 ** 31 - 1);
});
