import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import {
  describeError,
  type ErrorEntry,
  errorCatalog,
  exitCodeOf,
  LongspliceError,
} from "../../src/errors/index.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const catalog: [string, ErrorEntry][] = Object.entries(errorCatalog);

/** All product code except the catalog itself. */
function productCode(): string {
  const files = ["src", "native"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  );
  return files
    .filter((file) => /\.(ts|cc|h)$/.test(file) && file !== "src/errors/catalog.ts")
    .map((file) => readFileSync(join(root, file), "utf8"))
    .join("\n");
}

/** Code, then the other columns, of every row of the documentation. */
function documentedRows(): string[][] {
  const lines = readFileSync(join(root, "docs/errors.md"), "utf8").split("\n");
  return lines
    .filter((line) => line.startsWith("| `LS_"))
    .map((line) =>
      line
        .split("|")
        .map((cell) => cell.trim().replaceAll(/^`|`$/g, ""))
        .slice(1, -1),
    );
}

describe("the error catalog", () => {
  test("is what docs/errors.md says, word for word and in the same order", () => {
    const rows = catalog.map(([code, { summary, cause, remedy, exit }]) => {
      // A cell may begin or end with code in backquotes, which the reader of the table strips too.
      return [code, summary, cause, remedy, String(exit)].map((cell) => cell.replaceAll(/^`|`$/g, ""));
    });
    expect(documentedRows()).toEqual(rows);
  });

  test("has every code that the product names", () => {
    const named = new Set(productCode().match(/(?<=["'`])LS_[A-Z_]+(?=["'`])/g));
    expect([...named].filter((code) => !(code in errorCatalog))).toEqual([]);
    expect(named.size).toBeGreaterThan(0);
  });

  test("has no code that nothing uses", () => {
    const code = productCode();
    // In quotes where it is thrown, after a dot where its entry is read; a comment that names it does not count.
    const unused = catalog.filter(([name]) => !new RegExp(`["'.]${name}\\b`).test(code));
    expect(unused.map(([name]) => name)).toEqual([]);
  });

  test("writes summaries as beginnings of a message, causes and remedies as sentences", () => {
    for (const [, { summary, cause, remedy }] of catalog) {
      expect(summary).toMatch(/^[^.]*[^.\s]$/);
      expect(cause).toMatch(/^[A-Z].*\.$/);
      expect(remedy).toMatch(/^[A-Z].*\.$/);
    }
  });
});

describe("LongspliceError", () => {
  test("begins its message with the summary of its code, and takes the remedy from the catalog", () => {
    const error = new LongspliceError("LS_CLI_ARGUMENTS", "no file");
    expect(error.message).toBe("wrong arguments: no file");
    expect(error.remedy).toBe(errorCatalog.LS_CLI_ARGUMENTS.remedy);
    expect(error.cause).toBeUndefined();
  });

  test("keeps the cause and the better remedy of the place that threw it", () => {
    const cause = new Error("inner");
    const error = new LongspliceError("LS_ADDON_MISSING", "x", { cause, remedy: "Do this." });
    expect(error).toMatchObject({ code: "LS_ADDON_MISSING", cause, remedy: "Do this." });
  });

  test("decides the exit code; what is not ours is an internal error", () => {
    expect(exitCodeOf(new LongspliceError("LS_CONFIG_READ", ""))).toBe(1);
    expect(exitCodeOf(new LongspliceError("LS_LISTEN_ADDRESS_IN_USE", ""))).toBe(2);
    expect(exitCodeOf(new TypeError("x"))).toBe(70);
    expect(exitCodeOf("a thrown text")).toBe(70);
  });

  test("is still known for what it is when a worker thread ended with it", async () => {
    const code = `
      class LongspliceError extends Error {
        name = "LongspliceError";
        code = "LS_POLICY_CREATE";
        remedy = "Do this.";
      }
      throw new LongspliceError("a policy could not be created: no licence");`;
    const error = await new Promise((resolve) => new Worker(code, { eval: true }).once("error", resolve));
    expect(exitCodeOf(error)).toBe(1);
    expect(describeError(error)).toBe(
      "a policy could not be created: no licence\n  Do this. [LS_POLICY_CREATE]",
    );
  });

  test("is described with remedy and code, a bug with its stack", () => {
    expect(describeError(new LongspliceError("LS_CLI_ARGUMENTS", "no file"))).toBe(
      `wrong arguments: no file\n  ${errorCatalog.LS_CLI_ARGUMENTS.remedy} [LS_CLI_ARGUMENTS]`,
    );
    expect(describeError(new TypeError("boom"))).toMatch(
      /^internal error: TypeError: boom\n {4}at [\s\S]*\[LS_INTERNAL\]$/,
    );
  });
});
