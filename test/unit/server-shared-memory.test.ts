import { describe, expect, it } from "vitest";
import { SharedMemory } from "../../src/server/shared-memory.js";

describe("the memory that workers share", () => {
  it("stays the same from one plan in effect to the next, and is forgotten with the plan that does not ask for it", () => {
    const memory = new SharedMemory();
    const first = memory.plan()("a", 8);
    memory.commit();
    expect(memory.plan()("a", 8)).toBe(first);
    expect(memory.plan()("a", 16)).not.toBe(first);
    memory.plan();
    memory.commit();
    expect(memory.plan()("a", 8)).not.toBe(first);
  });

  it("is what it was after a plan that is refused", () => {
    const memory = new SharedMemory();
    const block = memory.plan();
    const [kept, resized] = [block("a", 8), block("b", 8)];
    memory.commit();
    // Without one, and with another size of the other.
    memory.plan()("b", 16);
    const again = memory.plan();
    expect(again("a", 8)).toBe(kept);
    expect(again("b", 8)).toBe(resized);
  });
});
