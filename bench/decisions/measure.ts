/**
 * Measures the decisions of one policy, in a process of its own: what V8 learned from other policies would count against this one.
 * Arguments: name, options as JSON, numbers of backends. Prints a `DecisionCost` for each number, as JSON.
 */
import { performance } from "node:perf_hooks";
import { Rig } from "./rig.js";

const WARM_UP = 100_000;
const SAMPLES = 200_000;

/** Microseconds that one decision takes; what reading the clock takes has been subtracted. */
export interface DecisionCost {
  readonly backends: number;
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  /** Reading the clock once, microseconds. */
  readonly clock: number;
}

/** In order. */
function sample(rig: Rig, decide: boolean, into: Float64Array): Float64Array {
  for (let i = 0; i < into.length; i++) {
    rig.prepare();
    const started = performance.now();
    if (decide) rig.decide();
    into[i] = (performance.now() - started) * 1000;
    rig.finish();
  }
  return into.sort();
}

const at = (sorted: Float64Array, q: number) => sorted[Math.floor(q * (sorted.length - 1))] as number;

function measure(policy: string, options: unknown, backends: number): DecisionCost {
  const rig = new Rig(policy, options, backends);
  sample(rig, true, new Float64Array(WARM_UP));
  const times = sample(rig, true, new Float64Array(SAMPLES));
  const clock = at(sample(rig, false, new Float64Array(SAMPLES)), 0.5);
  const without = (micros: number) => Math.max(0, micros - clock);
  const mean = without(times.reduce((sum, time) => sum + time, 0) / times.length);
  return { backends, mean, p50: without(at(times, 0.5)), p99: without(at(times, 0.99)), clock };
}

const [policy = "", options = "null", ...counts] = process.argv.slice(2);
console.log(
  JSON.stringify(counts.map((count) => measure(policy, JSON.parse(options) ?? undefined, Number(count)))),
);
