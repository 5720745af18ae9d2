import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { ConfigError, loadConfig } from "../../src/config/index.js";
import { deps, lines } from "./config-support.js";

const file = join(tmpdir(), `longsplice-fuzz-${process.pid}.yaml`);
afterAll(() => rmSync(file, { force: true }));

/** Loads; throws whatever is thrown besides a ConfigError, and checks that this one can be printed. */
async function survives(content: string | Uint8Array): Promise<void> {
  writeFileSync(file, content);
  try {
    await loadConfig(file, deps);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.problems.length).toBeGreaterThan(0);
    const rows = Buffer.from(content).toString().split("\n").length;
    for (const { line, column, message } of error.problems) {
      expect(message).not.toMatch(/undefined|\n|\[object/);
      // Line 0: the file as a whole could not be read.
      expect(line).toBeLessThanOrEqual(rows);
      expect(column).toBeGreaterThanOrEqual(Math.min(line, 1));
    }
  }
}

/** Words that make garbage look like a configuration. */
const word = fc.constantFrom(
  ..."listeners routes pools web address match path pathRegex host policy name options backends admin".split(
    " ",
  ),
  ...": - , { } [ ] & * ! | > ' \" # \n \n ~ ? 1 0x1f .inf null true __proto__ constructor toString".split(
    " ",
  ),
  ..."\n \n\t &a *a 10s 16KiB :80 unix:/x ( --- ... %YAML <<".split(" "),
);

test("no text of likely words makes loading fail in another way than by a ConfigError", async () => {
  const texts = fc.array(word, { maxLength: 60 }).map((words) => words.join(" "));
  // A key in two lines: found by a random run.
  const examples: [string][] = [["? listeners \n \n listeners"]];
  await fc.assert(fc.asyncProperty(texts, survives), { numRuns: 600, examples });
});

test("no bytes do", async () => {
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), survives), { numRuns: 300 });
});

/** A valid configuration as data, in which anything may be replaced by anything. */
const valid = {
  listeners: [{ address: ":80" }],
  routes: [
    { match: { host: "a", path: "/", method: "GET", header: { a: "b" } }, pool: "a", forward: "auto" },
  ],
  pools: { a: { policy: "uri-hash", backends: [{ address: ":1", labels: {} }], health: { path: "/" } } },
  policies: [] as string[],
  admin: { address: ":2" },
  timeouts: { idle: "1s" },
  limits: { headerBytes: "1KiB" },
};

function replaced(data: unknown, steps: readonly number[], value: unknown): unknown {
  const [step, ...rest] = steps;
  if (step === undefined || typeof data !== "object" || data === null) return value;
  const entries = Object.entries(data);
  if (entries.length === 0) return value;
  const [key, inner] = entries[step % entries.length]!;
  const copy = (Array.isArray(data) ? [...data] : { ...data }) as Record<string, unknown>;
  copy[key] = replaced(inner, rest, value);
  return copy;
}

test("no wrong value at any place does", async () => {
  const steps = fc.array(fc.nat(20), { minLength: 1, maxLength: 6 });
  const anything = fc.oneof(fc.jsonValue(), fc.string(), fc.constantFrom("__proto__", "constructor"));
  const data = fc.tuple(steps, anything).map(([path, value]) => JSON.stringify(replaced(valid, path, value)));
  await survives(JSON.stringify(valid));
  await fc.assert(fc.asyncProperty(data, survives), { numRuns: 600 });
});

test("nesting deeper than any stack is refused, with a few problems and not thousands", async () => {
  for (const part of ["[", "{ a: ", "- "]) {
    writeFileSync(file, part.repeat(20_000));
    const error = await loadConfig(file, deps).catch((error: unknown) => error);
    const { problems } = error as ConfigError;
    expect(problems[0]!.message).toBe("not valid YAML: nested too deeply");
    expect(problems.length).toBeLessThanOrEqual(10);
  }
});

test("aliases that multiply beyond memory are refused", async () => {
  const level = (i: number) => `a${i}: &a${i} [${i === 0 ? "x" : `*a${i - 1},`.repeat(9)}]`;
  writeFileSync(file, lines({ more: Array.from({ length: 12 }, (_, i) => level(i)).join("\n") }));
  await expect(loadConfig(file, deps)).rejects.toMatchObject({
    problems: [{ code: "LS_CONFIG_SYNTAX", message: expect.stringContaining("alias") }],
  });
});
