import { describe, expect, it } from "vitest";
import { Memo } from "../../policies/memo.js";
import { UrlKey, UrlTable } from "../../policies/url-table.js";

function keyOf(target: string, host = "example.test"): UrlKey {
  const key = new UrlKey();
  key.take(host, target);
  return key;
}

describe("the key of a URL", () => {
  it("depends on host and target, and on where one ends", () => {
    const texts = [
      ["a.test", "/x"],
      ["b.test", "/x"],
      ["a.test", "/y"],
      ["a.tes", "t/x"],
      ["", "a.test/x"],
    ] as const;
    const keys = texts.map(([host, target]) => keyOf(target, host)).map(({ a, b }) => `${a} ${b}`);
    expect(new Set(keys).size).toBe(texts.length);
    expect(keyOf("/x", "a.test")).toMatchObject({ a: keyOf("/x", "a.test").a, b: keyOf("/x", "a.test").b });
  });
});

describe("the table of URLs", () => {
  it("knows what was put into it, and nothing else", () => {
    const table = new UrlTable(1024, null);
    expect(table.find(keyOf("/a"))).toBe(-1);
    const at = table.put(keyOf("/a"), 7, 42, -3);
    expect(table.find(keyOf("/a"))).toBe(at);
    expect([table.stamp(at), table.value(at), table.extra(at)]).toEqual([7, 42, -3]);
    expect(table.find(keyOf("/b"))).toBe(-1);
    expect(table.put(keyOf("/a"), 8, 1, 2)).toBe(at);
    expect([table.stamp(at), table.value(at), table.extra(at)]).toEqual([8, 1, 2]);
  });

  it("takes the bytes that it asks for, for any number of URLs", () => {
    for (const entries of [1, 64, 100, 65_536]) {
      const bytes = UrlTable.bytesFor(entries);
      expect(bytes).toBeGreaterThanOrEqual(entries * 16);
      expect(bytes).toBeLessThan(Math.max(entries, 4) * 32);
      const table = new UrlTable(entries, new SharedArrayBuffer(bytes));
      expect(table.find(keyOf("/a"))).toBe(-1);
    }
  });

  it("stays as large as it is, and forgets what was stamped longest ago", () => {
    const table = new UrlTable(1024, null);
    const targets = Array.from({ length: 20_000 }, (_, i) => `/item/${i}`);
    for (const [stamp, target] of targets.entries()) table.put(keyOf(target), stamp, stamp, 0);
    const known = targets.flatMap((target, i) => {
      const at = table.find(keyOf(target));
      return at < 0 ? [] : [[i, table.value(at)] as const];
    });
    expect(known.length).toBe(1024);
    for (const [put, found] of known) expect(found).toBe(put);
    // Four entries for each line: none is left from before the last few times round.
    expect(Math.min(...known.map(([i]) => i))).toBeGreaterThan(20_000 - 8 * 1024);
  });

  it("leaves alone what another worker is writing", () => {
    const memory = new SharedArrayBuffer(UrlTable.bytesFor(4));
    const cells = new Int32Array(memory);
    const table = new UrlTable(4, memory);
    // Four entries, one line.
    const places = ["/a", "/b", "/c", "/d"].map((target, i) => table.put(keyOf(target), i, i, 0));
    const [first, second, ...others] = places as [number, number, number, number];
    const BUSY = 1;
    cells[first] = BUSY;
    expect(table.put(keyOf("/e"), 9, 9, 0)).toBe(second);
    expect(cells[first]).toBe(BUSY);
    for (const at of [second, ...others]) cells[at] = BUSY;
    const before = cells.slice();
    expect(table.put(keyOf("/f"), 9, 9, 0)).toBe(-1);
    expect(cells).toEqual(before);
  });

  it("is one for all who have the memory", () => {
    const memory = new SharedArrayBuffer(UrlTable.bytesFor(64));
    const [one, other] = [new UrlTable(64, memory), new UrlTable(64, memory)];
    const at = one.put(keyOf("/a"), 1, 10, 0);
    expect(other.value(other.find(keyOf("/a")))).toBe(10);
    expect(other.add(at, 5)).toBe(15);
    expect(one.value(at)).toBe(15);
    expect([one.restamp(at, 1, 2), other.restamp(at, 1, 2)]).toEqual([true, false]);
    expect(other.stamp(at)).toBe(2);
    const alone = new UrlTable(64, null);
    expect(alone.find(keyOf("/a"))).toBe(-1);
  });
});

describe("a memo", () => {
  it("asks once for what is asked again, and forgets what was not asked lately", () => {
    const asked: string[] = [];
    const memo = new Memo(2, (question) => {
      asked.push(question);
      return question.length;
    });
    expect([memo.answer("a"), memo.answer("bb"), memo.answer("a")]).toEqual([1, 2, 1]);
    expect(asked).toEqual(["a", "bb"]);
    memo.answer("c");
    memo.answer("a"); // it was older, now it is recent again
    memo.answer("d");
    memo.answer("a");
    expect(asked).toEqual(["a", "bb", "c", "d"]);
    memo.answer("bb");
    expect(asked).toEqual(["a", "bb", "c", "d", "bb"]);
  });

  it("never keeps more than twice its size", () => {
    let asked = 0;
    const memo = new Memo(8, () => ++asked);
    for (let i = 0; i < 1000; i++) memo.answer(String(i));
    for (let i = 0; i < 1000; i++) memo.answer(String(i));
    expect(asked).toBe(2000);
  });
});
