import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HEAD_INDEX_CELLS, HeadView } from "../../src/dataplane/head-view.js";
import { NO_BACKEND } from "../../src/dataplane/index.js";
import { LOAD_ROW_CELLS, LOAD_TABLE_BYTES, LoadCell, PLACEMENT_CELL } from "../../src/policy/load-layout.js";
import type { PolicySpec } from "../../src/policy/registry.js";
import type { PlannedPool, WorkerPlan } from "../../src/server/messages.js";
import { WorkerPolicies } from "../../src/server/worker-policies.js";
import { nativeSnapshot } from "../support/native-snapshot.js";

/** The numbers that exchanges of earlier plans may still ask. */
let inUse: number[];
let policies: WorkerPolicies;
let load: Int32Array;

beforeEach(() => {
  inUse = [];
  load = new Int32Array(new SharedArrayBuffer(LOAD_TABLE_BYTES));
  policies = new WorkerPolicies({
    worker: 0,
    workers: 1,
    load,
    policiesInUse: () => inUse,
    log: () => {},
  });
});

afterEach(() => {
  policies.close();
  vi.useRealTimers();
});

const ROUND_ROBIN: readonly PolicySpec[] = [{ name: "round-robin", options: undefined, shared: null }];

/** Pools by name, each with backends in these slots. */
function plan(load: number, pools: Record<string, number[]>, specs = ROUND_ROBIN): WorkerPlan {
  const { pools: _, ...snapshot } = nativeSnapshot();
  const planned = Object.entries(pools).map(([name, slots]): PlannedPool => {
    const candidates = slots.map((slot) => ({ slot, address: `10.0.0.${slot}:80`, weight: 1, labels: {} }));
    const retries = { slot: 0, percent: 20, min: 3 };
    return { name, backends: [], proxyProtocol: "none", retries, specs, candidates, reportsInHeader: false };
  });
  return { generation: 1, load, snapshot, pools: planned, plugins: [] };
}

const numbers = async (next: WorkerPlan) =>
  Object.fromEntries((await policies.apply(next)).map(({ name, policy }) => [name, policy]));

/** Whether the chain with that number still answers. */
function answers(number: number, slot: number): boolean {
  // Token, policy.
  const index = new Int32Array(HEAD_INDEX_CELLS);
  index.set([1, number]);
  const head = new HeadView(Buffer.alloc(64), index);
  return policies.select(head, Int32Array.of(1, slot), {} as never) !== NO_BACKEND;
}

describe("the policies of a worker", () => {
  it("go on in pools that stay as they are, and start anew in those whose backends changed", async () => {
    const before = await numbers(plan(1, { a: [1, 2], b: [3] }));
    const after = await numbers(plan(1, { a: [1], b: [3] }));
    expect(after.b).toBe(before.b);
    expect(after.a).not.toBe(before.a);
  });

  it("all start anew when the configuration was loaded again", async () => {
    const before = await numbers(plan(1, { a: [1], b: [3] }));
    const after = await numbers(plan(2, { a: [1], b: [3] }));
    expect([after.a, after.b]).not.toContain(before.a);
    expect([after.a, after.b]).not.toContain(before.b);
  });

  it("answer for as long as an exchange may ask them", async () => {
    const { a: first } = await numbers(plan(1, { a: [1] }));
    inUse = [first!];
    for (const slots of [[1, 2], [2], [2, 3]]) await policies.apply(plan(1, { a: slots }));
    expect(answers(first!, 1)).toBe(true);
    inUse = [];
    await policies.apply(plan(1, { a: [3] }));
    expect(answers(first!, 1)).toBe(false);
  });

  describe("that look after their pool by a timer", () => {
    const lard = { name: "lard", options: undefined, shared: null };

    /** Whether requests are called back in the next two seconds, with this in flight to slots 1, 2, 3. */
    function callsBack(...active: number[]): boolean {
      for (const [i, count] of active.entries()) {
        const row = (i + 1) * LOAD_ROW_CELLS;
        load[row + LoadCell.eligible] = load[row + LoadCell.weight] = 1;
        load[row + LoadCell.active] = count;
      }
      const before = load[PLACEMENT_CELL];
      vi.advanceTimersByTime(2000);
      return load[PLACEMENT_CELL] !== before;
    }

    it("do so until another chain has the pool", async () => {
      vi.useFakeTimers();
      const { a: first } = await numbers(plan(1, { a: [1, 2, 3] }, [lard]));
      expect(callsBack(66, 66, 0)).toBe(true);
      inUse = [first!];
      await policies.apply(plan(1, { a: [1, 2] }, [lard]));
      expect(callsBack(66, 66, 0)).toBe(false);
      expect(callsBack(66, 0, 0)).toBe(true);
      expect(answers(first!, 3)).toBe(true);
    });

    it("call nothing back where every request is asked about", async () => {
      vi.useFakeTimers();
      const split = { name: "weighted-split", options: { shares: { v1: 1 }, sticky: true }, shared: null };
      await policies.apply(plan(1, { a: [1, 2, 3] }, [split, lard]));
      expect(callsBack(66, 66, 0)).toBe(false);
    });
  });

  it("can have no backend to choose from", async () => {
    const { a } = await numbers(plan(1, { a: [] }));
    expect(a).toBeTypeOf("number");
  });
});
