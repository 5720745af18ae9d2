/**
 * How much memory decisions take, for each policy in the arguments (all built-in ones without): prints a `Garbage` for each setting, as
 * JSON. Needs `--expose-gc`, and a young generation so large that nothing has to be collected meanwhile.
 */
import { PerformanceObserver } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { getHeapSpaceStatistics } from "node:v8";
import { builtinPolicies } from "../../policies/index.js";
import { Rig } from "./rig.js";
import { settingsOf } from "./settings.js";

const WARM_UP = 200_000;
const DECISIONS = 1_000_000;
const ATTEMPTS = 3;

/** What a million decisions, and the ends of as many exchanges, left behind. */
export interface Garbage {
  readonly policy: string;
  /** By which the young generation grew for each decision. */
  readonly bytes: number;
  /** Collections meanwhile; with any, `bytes` says nothing. */
  readonly collections: number;
}

let collections = 0;
new PerformanceObserver((list) => {
  collections += list.getEntries().length;
}).observe({ entryTypes: ["gc"] });

/** Collections so far. The observer is told of them a while later. */
async function countCollections(): Promise<number> {
  await setTimeout(20);
  return collections;
}

const young = () =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space")?.space_used_size ?? 0;

function decide(rig: Rig, times: number): void {
  for (let i = 0; i < times; i++) {
    rig.prepare();
    rig.decide();
    rig.finish();
  }
}

async function measure(policy: string, options: unknown): Promise<Garbage> {
  // The numbers that the clock of the chain gives are not the policy's: two of 16 bytes for each decision.
  const rig = new Rig(policy, options, 16, () => 0);
  decide(rig, WARM_UP);
  let result = await attempt(rig, policy);
  // Code that is not compiled yet puts fractions on the heap, and on a busy machine the compiler may be late.
  for (let i = 1; i < ATTEMPTS && (result.bytes >= 1 || result.collections > 0); i++) {
    result = await attempt(rig, policy);
  }
  return result;
}

async function attempt(rig: Rig, policy: string): Promise<Garbage> {
  globalThis.gc?.();
  const collected = await countCollections();
  const before = young();
  decide(rig, DECISIONS);
  const bytes = (young() - before) / DECISIONS;
  return { policy, bytes, collections: (await countCollections()) - collected };
}

const wanted = process.argv.slice(2);
const results: Garbage[] = [];
for (const { name } of builtinPolicies.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  for (const { options } of settingsOf(name)) results.push(await measure(name, options));
}
console.log(JSON.stringify(results));
