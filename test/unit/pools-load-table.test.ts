import { describe, expect, it } from "vitest";
import { LOAD_CAPACITY, LOAD_ROW_CELLS, LoadCell } from "../../src/policy/load-layout.js";
import { LoadTable } from "../../src/pools/load-table.js";

describe("the layout", () => {
  it("is the one that native code mirrors: 128 bytes a row, cells in this order", () => {
    expect(LOAD_ROW_CELLS * Int32Array.BYTES_PER_ELEMENT).toBe(128);
    expect(new LoadTable().buffer.byteLength).toBe(4097 * 128);
    expect(Object.entries(LoadCell)).toEqual([
      ["active", 0],
      ["eligible", 1],
      ["weight", 2],
      ["maxConnections", 3],
      ["ewmaMicros", 4],
      ["errors", 5],
      ["requests", 6],
      ["connections", 7],
      ["health", 8],
      ["failuresFrom", 16],
      ["successes", 17],
      ["failures", 18],
      ["failureRun", 19],
      ["longestRun", 20],
      ["cpu", 21],
      ["memory", 22],
      ["io", 23],
      ["tcpConnections", 24],
      ["activeSockets", 25],
      ["queue", 26],
      ["utilization", 27],
      ["reports", 28],
    ]);
  });
});

describe("the load table", () => {
  it("reads and writes cells in shared memory", () => {
    const table = new LoadTable();
    const slot = table.acquire("pool a");
    table.write(slot, "weight", 7);
    expect(new Int32Array(table.buffer)[slot * LOAD_ROW_CELLS + 2]).toBe(7);
    expect(table.read(slot, "weight")).toBe(7);
  });

  it("reads a cell and empties it in one step", () => {
    const table = new LoadTable();
    const slot = table.acquire("pool a");
    table.write(slot, "longestRun", 7);
    expect([table.take(slot, "longestRun"), table.take(slot, "longestRun")]).toEqual([7, 0]);
  });

  it("gives each key a slot of its own, and the same again", () => {
    const table = new LoadTable();
    const slots = ["a", "b", "a"].map((key) => table.acquire(key));
    expect(slots).toEqual([0, 1, 0]);
  });

  it("makes a released row ineligible at once, and clean for its next owner", () => {
    const table = new LoadTable();
    const slot = table.acquire("a");
    table.write(slot, "eligible", 1);
    table.write(slot, "errors", 5);
    table.release("a");
    expect(table.read(slot, "eligible")).toBe(0);
    expect(table.acquire("b")).toBe(slot);
    expect(table.read(slot, "errors")).toBe(0);
  });

  it.each(["active", "connections"] as const)("passes a row on only when its last %s is gone", (cell) => {
    const table = new LoadTable();
    table.write(table.acquire("a"), cell, 1);
    table.release("a");
    expect(table.acquire("b")).toBe(1);
    table.write(0, cell, 0);
    expect(table.acquire("c")).toBe(0);
  });

  it("refuses the backend that does not fit, and takes it once another one left", () => {
    const table = new LoadTable();
    for (let i = 0; i < LOAD_CAPACITY; i++) table.acquire(`${i}`);
    const refused = expect.objectContaining({ code: "LS_POOL_CAPACITY" });
    expect(() => table.acquire("more")).toThrow(refused);
    expect(() => table.acquire("more")).toThrow(refused);
    table.release("17");
    expect(table.acquire("more")).toBe(17);
  });

  it("ignores the release of an unknown key", () => {
    const table = new LoadTable();
    table.release("nobody");
    expect(table.acquire("a")).toBe(0);
  });
});
