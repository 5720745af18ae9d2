import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadAddon } from "../../src/dataplane/index.js";
import { LOAD_ROW_CELLS, LoadCell } from "../../src/policy/load-layout.js";

describe("what TypeScript and C++ have twice", () => {
  it("is the same layout of the load table", () => {
    const { rowFields, ...cells } = loadAddon().loadLayout;
    expect(rowFields).toBe(LOAD_ROW_CELLS);
    expect(cells).toEqual(LoadCell);
  });

  it("is the same list of states in the code and in docs/life-of-a-connection.md", () => {
    const page = readFileSync(new URL("../../docs/life-of-a-connection.md", import.meta.url), "utf8");
    const inTable = [...page.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name);
    expect(inTable).toEqual(loadAddon().stateNames);
  });
});
