import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builtinPolicies } from "../../policies/index.js";
import * as sdk from "../../src/policy/index.js";
import { fakeCandidates, fakeEnv, fakeHead, type Policy, pick } from "../../src/policy/index.js";
import { loadPlugins } from "../../src/policy/loader.js";
import { PolicyRegistry } from "../../src/policy/registry.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "longsplice-plugins-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** A file in the test's own folder, outside of any package. */
async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

/** A plugin that needs no value of longsplice: written with types only. */
const plugin = (name: string, change = "") => `
  import type { Candidates, Policy, PolicyModule } from "longsplice/policy";
  enum Position { First = 0 }
  class Always implements Policy {
    select(_head: unknown, candidates: Candidates): void { candidates.keep(Position.First); }
  }
  const module = {
    name: ${JSON.stringify(name)}, apiVersion: 1,
    options: { "~standard": { version: 1, vendor: "own", validate: (value: unknown) => ({ value }) } },
    needs: { headers: ["x-a"] },
    create: () => new Always(),
    ${change}
  } satisfies PolicyModule<unknown> as PolicyModule<unknown>;
  export default module;`;
/** A plugin that uses values of the SDK. */
const withValues = (name: string) => `
  import { definePolicy, z } from "longsplice/policy";
  const options = z.object({ at: z.number().default(1) }).prefault({});
  export default definePolicy({
    name: ${JSON.stringify(name)}, apiVersion: 1, options, needs: { headers: [] },
    create: ({ at }) => ({ select: (_head, candidates) => candidates.keep(at) }),
  });`;

const names = async (...patterns: string[]) => (await loadPlugins(patterns)).map((module) => module.name);
const chosen = async (policy: Policy) =>
  (await pick(policy, fakeCandidates([{ address: "a" }, { address: "b" }])))?.address;
const policyOf = async (path: string, options?: unknown) => {
  const modules = await loadPlugins([path]);
  const name = modules[0]?.name ?? "";
  return new PolicyRegistry(modules).createChain([{ name, options }], fakeEnv());
};

describe("a plugin", () => {
  it("written with type imports works wherever it lies", async () => {
    expect(await chosen(await policyOf(await file("first.ts", plugin("first"))))).toBe("a");
  });

  it.each(["ts", "mts", "cts"])(
    "may import values of the SDK wherever it lies, as .%s",
    async (extension) => {
      const policy = await policyOf(await file(`second.${extension}`, withValues("second")));
      expect(await chosen(policy)).toBe("b");
    },
  );

  it("may leave it to its options what it needs", async () => {
    const needs = "needs: (header: unknown) => ({ headers: [String(header)] }),";
    const modules = await loadPlugins([await file("third.ts", plugin("third", needs))]);
    const registry = new PolicyRegistry(modules);
    expect(registry.headersFor([{ name: "third", options: "x-b" }])).toEqual(["x-b"]);
    expect(() => registry.headersFor([{ name: "third", options: "x b" }])).toThrow(/needs\.headers/);
  });

  it("may not leave it to its options to choose by something unknown", async () => {
    const modules = await loadPlugins([
      await file("fourth.ts", plugin("fourth", "choosesBy: () => undefined,")),
    ]);
    const registry = new PolicyRegistry(modules);
    expect(() => registry.traitsOf([{ name: "fourth", options: undefined }])).toThrow(
      /choosesBy is undefined/,
    );
  });

  it("may lie in an ESM package", async () => {
    await file("package.json", '{"type": "module"}');
    const policy = await policyOf(await file("second.ts", withValues("second")), { at: 0 });
    expect(await chosen(policy)).toBe("a");
  });

  it("is not compiled with the tsconfig.json that happens to be around", async () => {
    await file("tsconfig.json", '{"compilerOptions": {"paths": {"longsplice/policy": ["./wrong.ts"]}}}');
    await file("wrong.ts", "export const nothing = 0;");
    const path = await file("second.ts", withValues("second"));
    const workingDirectory = process.cwd();
    process.chdir(folder);
    try {
      expect(await names(path)).toEqual(["second"]);
    } finally {
      process.chdir(workingDirectory);
    }
    expect(process.env).not.toHaveProperty("TSX_TSCONFIG_PATH");
  });

  it("may import its own files and export several policies", async () => {
    await file("name.ts", 'export const suffix: string = "two";');
    const text = `import { suffix } from "./name.js"; ${plugin("one").replace("export default module;", "")}
      export default [module, { ...module, name: \`\${module.name}-\${suffix}\` }];`;
    expect(await names(await file("both.ts", text))).toEqual(["one", "one-two"]);
  });

  it("may be plain JavaScript, ESM or CommonJS", async () => {
    const body = (name: string) => `{ name: "${name}", apiVersion: 1, needs: { headers: [] }, create() {},
      options: { "~standard": { version: 1, vendor: "own", validate: (value) => ({ value }) } } }`;
    const esm = await file("esm.mjs", `export default ${body("esm")};`);
    const cjs = await file("cjs.cjs", `module.exports = ${body("cjs")};`);
    const js = await file("js.js", `export default ${body("js")};`);
    expect(await names(esm, cjs, js)).toEqual(["esm", "cjs", "js"]);
  });

  it("is read anew each time", async () => {
    const path = await file("a.ts", plugin("before"));
    expect(await names(path)).toEqual(["before"]);
    await file("a.ts", plugin("after"));
    expect(await names(path)).toEqual(["after"]);
  });

  it.each(["a.mts", "a.cts"])(
    "gets all of the SDK that is there already, so that reloads leave none behind: %s",
    async (name) => {
      const text = `import * as sdk from "longsplice/policy";\n${plugin("sharing", "sdk,")}`;
      const [module] = await loadPlugins([await file(name, text)]);
      const { sdk: seen } = module as unknown as { sdk: Record<string, unknown> };
      for (const [key, value] of Object.entries(sdk)) expect(seen[key], key).toBe(value);
    },
  );
});

describe("in a worker thread", () => {
  it("plugins load as on the main thread", async () => {
    const code = `
      const { parentPort, workerData } = require("node:worker_threads");
      import("tsx/esm/api")
        .then(({ tsImport }) => tsImport(workerData.loader, workerData.loader))
        .then(({ loadPlugins }) => loadPlugins([workerData.plugin]))
        .then((modules) => parentPort.postMessage(modules.map((module) => module.name)));`;
    const workerData = {
      loader: new URL("../../src/policy/loader.ts", import.meta.url).href,
      plugin: await file("a.mts", withValues("threaded")),
    };
    const worker = new Worker(code, { eval: true, workerData });
    expect(await once(worker, "message")).toEqual([["threaded"]]);
    await worker.terminate();
  });
});

describe("a pattern", () => {
  it("stands for the matching files in order, without declarations, tests, hidden and other files", async () => {
    await mkdir(join(folder, "folder.ts"));
    const plugins = { "b.ts": "b", "a.ts": "a", ".c.ts": "c", "e.test.ts": "e" };
    for (const [name, text] of Object.entries(plugins)) await file(name, plugin(text));
    await file("d.d.ts", "export declare const d: number;");
    await file("f.ts.md", "# notes");
    expect(await names(join(folder, "*.ts"))).toEqual(["a", "b"]);
    expect(await names(join(folder, "*"), join(folder, "a*ts"), join(folder, "e.test.ts"))).toEqual([
      "a",
      "b",
      "e",
    ]);
  });

  it.each(["none.ts", "*.ts", "missing/*.ts", "missing/x.ts"])(
    "that stands for nothing is refused: %s",
    async (pattern) => {
      const error = await loadPlugins([join(folder, pattern)]).catch((cause) => cause);
      expect(error).toMatchObject({ code: "LS_POLICY_NOT_FOUND" });
      expect(String(error)).toContain(folder);
    },
  );
});

describe("a file that is no plugin is refused with its name and the reason", () => {
  const refused = async (text: string) => {
    const path = await file("bad.ts", text);
    const error = await loadPlugins([path], ["taken"]).catch((cause) => cause);
    expect(String(error)).toContain(path);
    return error;
  };

  it("if it cannot be compiled", async () => {
    const error = await refused("export default { name: ;");
    expect(error).toMatchObject({ code: "LS_POLICY_LOAD" });
    expect(String(error)).toMatch(/bad\.ts:1:23.*Unexpected/s);
  });

  it("if it fails while it is loaded", async () => {
    const error = await refused('throw new Error("boom");');
    expect(error).toMatchObject({
      code: "LS_POLICY_LOAD",
      cause: expect.objectContaining({ message: "boom" }),
    });
  });

  it.each([
    ["export const x = 1;", /not a policy module/],
    ["export default [];", /empty array/],
    [plugin("Bad Name"), /"Bad Name".*lower-case/],
    [plugin("old", "apiVersion: 0,"), /"old".*apiVersion is 0.*speaks 1/],
    [plugin("bare", "options: {},"), /"bare".*options.*schema/],
    [plugin("deaf", "needs: {},"), /"deaf".*needs\.headers/],
    [plugin("odd", 'needs: { headers: ["x a"] },'), /"odd".*needs\.headers/],
    [plugin("moonstruck", 'choosesBy: "moon",'), /"moonstruck".*choosesBy is "moon"/],
    [plugin("idle", "create: 1,"), /"idle".*create/],
  ])("if its shape is wrong (%#)", async (text, reason) => {
    const error = await refused(text);
    expect(error).toMatchObject({ code: "LS_POLICY_SHAPE" });
    expect(String(error)).toMatch(reason);
  });

  it("if its name is a built-in's or another plugin's", async () => {
    expect(await refused(plugin("taken"))).toMatchObject({ code: "LS_POLICY_NAME" });
    await file("a.ts", plugin("same"));
    await file("bad.ts", plugin("same"));
    const error = await loadPlugins([join(folder, "*.ts")]).catch((cause) => cause);
    expect(String(error)).toMatch(/bad\.ts: "same" is taken by .*a\.ts/);
  });
});

describe("docs/writing-a-policy.md", () => {
  it("shows a plugin that works", async () => {
    const text = await readFile(new URL("../../docs/writing-a-policy.md", import.meta.url), "utf8");
    const policy = await policyOf(await file("by-method.mts", /```ts\n(.*?)```/s.exec(text)?.[1] ?? ""));
    const candidates = fakeCandidates([
      { address: "a", labels: { role: "primary" } },
      { address: "b", labels: { role: "replica" } },
    ]);
    expect((await pick(policy, candidates, fakeHead({ method: "POST" })))?.address).toBe("a");
    expect((await pick(policy, candidates, fakeHead({ method: "HEAD" })))?.address).toBe("b");
  });
});

describe("README.md", () => {
  it("shows a policy that can be named without options", async () => {
    const text = await readFile(new URL("../../README.md", import.meta.url), "utf8");
    const policy = await policyOf(await file("readme.mts", /```ts\n(.*?)```/s.exec(text)?.[1] ?? ""));
    const candidates = fakeCandidates([{ address: "a" }, { address: "b" }, { address: "c" }]);
    const head = fakeHead({ headers: { "x-tenant": "acme" } });
    expect((await pick(policy, candidates, head))?.address).toBe("b");
  });
});

describe("examples/policies/shard-by-tenant.ts", () => {
  it("narrows to the tenant's shard, or to the fallback", async () => {
    const path = fileURLToPath(new URL("../../examples/policies/*.ts", import.meta.url));
    const modules = await loadPlugins(
      [path],
      builtinPolicies.map((module) => module.name),
    );
    const registry = new PolicyRegistry(builtinPolicies, modules);
    const specs = [
      { name: "shard-by-tenant", options: { fallback: "shared", shards: { acme: "large" } } },
      { name: "least-connections", options: undefined },
    ];
    expect(registry.headersFor(specs)).toEqual(["x-tenant"]);
    const chain = registry.createChain(specs, fakeEnv());
    const candidates = fakeCandidates([
      { address: "large1", active: 2, labels: { shard: "large" } },
      { address: "large2", active: 1, labels: { shard: "large" } },
      { address: "shared1", labels: { shard: "shared" } },
    ]);
    const asked = async (headers: Record<string, string>) =>
      (await pick(chain, candidates, fakeHead({ headers }, modules[0])))?.address;
    expect(await asked({ "X-Tenant": "acme" })).toBe("large2");
    expect(await asked({ "X-Tenant": "large" })).toBe("large2");
    expect(await asked({ "X-Tenant": "constructor" })).toBe("shared1");
    expect(await asked({})).toBe("shared1");
    candidates.set("large1", { eligible: false });
    candidates.set("large2", { eligible: false });
    expect(await asked({ "X-Tenant": "acme" })).toBe("shared1");
  });
});
