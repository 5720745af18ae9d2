import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import type { Garbage } from "../../bench/decisions/garbage.js";
import { builtinPolicies } from "../../policies/index.js";

const program = fileURLToPath(new URL("../../bench/decisions/garbage.ts", import.meta.url));
const flags = [
  "--expose-gc",
  // Room for a million decisions of 100 bytes.
  "--min-semi-space-size=128",
  "--max-semi-space-size=128",
  // On a busy machine the compiler in the background may be late, and what is not compiled yet puts fractions on the heap.
  "--no-concurrent-recompilation",
  ...["--import", "tsx"],
];

it("a million decisions of each built-in policy leave no garbage", { timeout: 120_000 }, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, program]);
  const results = JSON.parse(stdout) as Garbage[];
  expect(new Set(results.map(({ policy }) => policy))).toEqual(
    new Set(builtinPolicies.map(({ name }) => name)),
  );
  for (const { policy, bytes, collections } of results) {
    expect(collections, policy).toBe(0);
    // The smallest object has 16 bytes.
    expect(bytes, policy).toBeLessThan(1);
  }
});
