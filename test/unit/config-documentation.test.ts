import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { templateVariables } from "../../src/config/http-text.js";
import { keysAt } from "../../src/config/schema-issues.js";
import { load } from "./config-support.js";

const page = readFileSync(fileURLToPath(new URL("../../docs/configuration.md", import.meta.url)), "utf8");

/** The first column of the table below a heading, in order. */
function documentedKeys(heading: string): string[] {
  const section = page.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`)) ?? "";
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, key]) => key!);
}

test.each([
  ["Top level", []],
  ["`listeners[]`", ["listeners", 0]],
  ["`routes[]`", ["routes", 0]],
  ["`routes[].match`", ["routes", 0, "match"]],
  ["`pools.NAME`", ["pools", "x"]],
  ["`pools.NAME.policy[]`", ["pools", "x", "policy", 0]],
  ["`pools.NAME.backends[]`", ["pools", "x", "backends", 0]],
  ["`pools.NAME.discover[]`", ["pools", "x", "discover", 0]],
  ["`pools.NAME.retries`", ["pools", "x", "retries"]],
  ["`pools.NAME.health`", ["pools", "x", "health"]],
  ["`pools.NAME.load`", ["pools", "x", "load"]],
  ["`pools.NAME.outliers`", ["pools", "x", "outliers"]],
  ["`admin`", ["admin"]],
  ["`timeouts`", ["timeouts"]],
  ["`limits`", ["limits"]],
  ["`forwarded`", ["forwarded"]],
])("docs/configuration.md lists the keys of %s as the schema has them", (heading, path) => {
  const keys = keysAt(path);
  expect(keys.length).toBeGreaterThan(0);
  expect(documentedKeys(heading)).toEqual(keys);
});

test("docs/configuration.md has a row for every key of the schema", () => {
  const rows = [...page.matchAll(/^\| `/gm)].length;
  // One step further, 0 stands for any entry of a list and any name of a pool.
  const below = (path: (string | number)[]): number =>
    keysAt(path).reduce((sum, key) => sum + 1 + below([...path, key]) + below([...path, key, 0]), 0);
  expect(rows).toBe(below([]));
});

test("docs/configuration.md names every variable", () => {
  for (const variable of templateVariables) expect(page).toContain(`\`{${variable}}\``);
});

test("the defaults of timeouts and limits are those of the page", async () => {
  const rows = (heading: string) =>
    documentedKeys(heading).map((key) => {
      const row = page.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`))!;
      const cells = new RegExp(`^\\| \`${key}\` \\|(.*)\\|$`, "m").exec(row)![1]!.split("|");
      return `${key}: ${cells.at(-2)!.trim().replaceAll("`", "")}`;
    });
  const documented = (heading: string) => `${heading}: { ${rows(`\`${heading}\``).join(", ")} }`;
  const base =
    "listeners: [{ address: :1 }]\nroutes: [{ pool: a }]\npools: { a: { backends: [{ address: :1 }] } }\n";
  const { config } = await load(`${base}${documented("timeouts")}\n${documented("limits")}\n`);
  expect(config).toEqual((await load(base)).config);
});
