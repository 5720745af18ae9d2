import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { TargetKey } from "../../policies/lard/key.js";
import { Marks } from "../../policies/lard/marks.js";
import { LocalityTable } from "../../policies/lard/table.js";
import { seededRandom } from "../../src/policy/index.js";
import type { HammerResult, HammerTask } from "../support/lard-hammer.js";

const tableOf = (entries: number, values = 1) =>
  new LocalityTable(new SharedArrayBuffer(LocalityTable.bytes(entries, values)), values);

/** A key of the table that is like the hash of a target. */
function keyOf(n: number): { a: number; b: number } {
  const key = new TargetKey();
  key.take("site.test", `/item/${n}`);
  return { a: key.a, b: key.b };
}

function put(table: LocalityTable, n: number): void {
  const { a, b } = keyOf(n);
  table.set(table.add(a, b), n + 1);
}

function lookUp(table: LocalityTable, n: number): number | undefined {
  const { a, b } = keyOf(n);
  const at = table.find(a, b);
  return at < 0 ? undefined : table.get(at) - 1;
}

describe("the locality table", () => {
  it("finds what was put in, and nothing else", () => {
    const table = tableOf(4096);
    for (let n = 0; n < 1000; n++) put(table, n);
    for (let n = 0; n < 1000; n++) expect(lookUp(table, n)).toBe(n);
    for (let n = 1000; n < 2000; n++) expect(lookUp(table, n)).toBeUndefined();
  });

  it("takes as much memory as it says, whatever comes", () => {
    // One cache line, and 13 buckets of 8 entries of 4 cells.
    expect(LocalityTable.bytes(100, 1)).toBe(64 + 104 * 16);
    const table = tableOf(100);
    for (let n = 0; n < 10_000; n++) put(table, n);
    let found = 0;
    for (let n = 0; n < 10_000; n++) if (lookUp(table, n) === n) found++;
    // Each bucket was filled, so each entry is somebody's.
    expect(found).toBe(104);
  });

  it("spares what was asked for when a bucket is full", () => {
    const table = tableOf(8);
    for (let n = 0; n < 8; n++) put(table, n);
    // All have been used since they came; one of them goes, and the others count as unused.
    put(table, 100);
    const left = [0, 1, 2, 3, 4, 5, 6, 7].filter((n) => lookUp(table, n) !== undefined);
    expect(left).toHaveLength(7);
    // Now all have been asked for but one.
    put(table, 101);
    const [spared, ...rest] = left as [number, ...number[]];
    expect(rest.length).toBe(6);
    expect(lookUp(table, 101)).toBe(101);
    for (let n = 200; n < 203; n++) {
      lookUp(table, spared);
      put(table, n);
      expect(lookUp(table, n)).toBe(n);
    }
  });

  it("keeps popular keys while rare ones pass through", () => {
    const table = tableOf(1024);
    for (let n = 0; n < 256; n++) put(table, n);
    const random = seededRandom(7);
    let lost = 0;
    for (let rare = 0; rare < 50_000; rare++) {
      put(table, 10_000 + rare);
      const popular = Math.floor(random() * 256);
      if (lookUp(table, popular) !== undefined) continue;
      lost++;
      put(table, popular);
    }
    // Without the second chance most of them would be gone each time.
    expect(lost / 50_000).toBeLessThan(0.2);
  });

  it("empties the cells of an entry that somebody else had", () => {
    const table = tableOf(8, 3);
    for (let n = 0; n < 50; n++) {
      const { a, b } = keyOf(n);
      const at = table.add(a, b);
      expect([0, 1, 2].map((i) => table.get(at + i))).toEqual([0, 0, 0]);
      for (let i = 0; i < 3; i++) table.set(at + i, 7);
    }
  });
});

describe("keys", () => {
  it("tell 200,000 targets apart, and host from target", () => {
    const keys = Array.from({ length: 200_000 }, (_, n) => keyOf(n));
    expect(keys.filter(({ b }) => b === 0)).toEqual([]);
    expect(new Set(keys.map(({ a, b }) => `${a} ${b}`)).size).toBe(200_000);
    const key = new TargetKey();
    key.take("ab", "c");
    const { a } = key;
    key.take("a", "bc");
    expect(key.a).not.toBe(a);
  });
});

describe("marks", () => {
  it("are never 0, and differ by slot and by address", () => {
    const marks = new Marks([]);
    const all = new Set<number>();
    for (let slot = 0; slot < 4096; slot++) {
      const rest = { weight: 1, labels: {} };
      const mark = marks.of({ slot, address: `10.0.0.${slot}:80`, ...rest });
      expect(mark).not.toBe(0);
      all.add(mark).add(marks.of({ slot, address: `10.0.1.${slot}:80`, ...rest }));
    }
    // One bit of twenty is given up, so a few of 4096 pairs may be the same.
    expect(all.size).toBeGreaterThan(2 * 4096 - 4);
  });
});

describe.each(["lard", "lard-replicated"] as const)("threads with one table, %s", (policy) => {
  it("get nothing but backends that are there", async () => {
    const program = new URL("../support/lard-hammer.ts", import.meta.url).href;
    // Node 20 does not give the hooks of tsx to a thread's own file.
    const start = `import("tsx/esm/api").then((tsx) => { tsx.register(); return import(${JSON.stringify(program)}); })`;
    // Far too small, so that entries are taken away from each other all the time.
    const shared = new SharedArrayBuffer(LocalityTable.bytes(16, policy === "lard" ? 5 : 13));
    const workers = [0, 1, 2, 3].map((worker) => {
      const workerData: HammerTask = { policy, worker, shared, requests: 60_000 };
      return new Worker(start, { eval: true, workerData });
    });
    const results = await Promise.all(
      workers.map(async (worker) => ((await once(worker, "message")) as [HammerResult])[0]),
    );
    await Promise.all(workers.map((worker) => worker.terminate()));
    for (const { wrong, chosen } of results) {
      expect(wrong).toEqual([]);
      expect(chosen.every((count) => count > 0)).toBe(true);
    }
  });
});
