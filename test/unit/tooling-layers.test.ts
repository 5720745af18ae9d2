import { describe, expect, test } from "vitest";
import { checkFile } from "../../scripts/check-layers.js";
import { zones } from "../../scripts/layers.js";

/** The files that includes can mean; imports are judged by their spelling alone. */
const tree = new Set([
  "native/binding/worker.h",
  "native/core/buffer.h",
  "native/engine/engine.h",
  "native/engine/copy/pump.h",
  "native/engine/pipe/pump.h",
]);

const check = (file: string, text: string) => checkFile(file, text, (other) => tree.has(other));

describe("the layer rule accepts", () => {
  test.each([
    ["src/server/start.ts", 'import { load } from "../config/load.js";'],
    ["src/server/start.ts", 'import { builtinPolicies } from "../../policies/index.js";'],
    ["src/pools/pool.ts", 'import type { Health } from "./health.js";'],
    [
      "src/policy/types.ts",
      'import { LongspliceError } from "../errors/index.js";\nimport { z } from "zod";',
    ],
    ["policies/uri-hash/index.ts", 'import { definePolicy } from "../../src/policy/index.js";'],
    ["policies/index.ts", 'import roundRobin from "./round-robin/index.js";'],
    ["src/dataplane/addon.ts", 'createRequire(import.meta.url)("../../build/Release/longsplice.node");'],
    [
      "src/policy/loader.ts",
      'import { createRequire } from "node:module";\ncreateRequire(base).resolve("x");',
    ],
    ["src/pools/pool.ts", '// import "../server/start.js"\nconst text = \'import "../server/start.js"\';'],
    [
      "native/binding/worker.cc",
      '#include <napi.h>\n#include "../core/buffer.h"\n#include "engine/copy/pump.h"',
    ],
    ["native/core/buffer.cc", '#include <string.h>\n#include "buffer.h"\n#include "../engine/engine.h"'],
    [
      "native/engine/copy/pump.cc",
      '#include "../engine.h"\n#include "../../core/buffer.h"\n#include "pump.h"',
    ],
  ])("%s: %s", (file, text) => {
    expect(check(file, text)).toEqual([]);
  });
});

describe("the layer rule refuses", () => {
  test.each([
    ["an upward import", "src/config/load.ts", 'import { start } from "../server/start.js";'],
    ["an upward import of types", "src/pools/pool.ts", 'import type { Config } from "../config/types.js";'],
    ["an upward re-export", "src/observe/log.ts", 'export * from "../cli/main.js";'],
    ["an upward dynamic import", "src/observe/log.ts", 'await import("../cli/main.js");'],
    ["an upward import inside of a type", "src/observe/log.ts", 'type A = import("../cli/main.js").A;'],
    ["the SDK using more than errors", "src/policy/chain.ts", 'import { log } from "../observe/log.js";'],
    [
      "a policy reaching past the SDK",
      "policies/uri-hash/index.ts",
      'import { e } from "../../src/errors/index.js";',
    ],
    ["a policy with a package of its own", "policies/uri-hash/index.ts", 'import { z } from "zod";'],
    [
      "built-in policies below the server",
      "src/pools/pool.ts",
      'import { b } from "../../policies/index.js";',
    ],
    [
      "product code importing test code",
      "src/cli/main.ts",
      'import { x } from "../../test/support/proxy.js";',
    ],
    ["loading the addon by require", "src/server/start.ts", 'createRequire(import.meta.url)("./x");'],
    [
      "loading the addon by another name",
      "src/server/start.ts",
      'import { createRequire as load } from "node:module";',
    ],
    ["loading the addon by dlopen", "src/server/start.ts", "process.dlopen(module, path);"],
    ["naming the addon's file", "src/observe/log.ts", "const file = `$" + "{folder}/longsplice.node`;"],
    ["a Node header in the core", "native/core/buffer.cc", "#include <napi.h>"],
    ["libuv in an engine", "native/engine/copy/pump.cc", "#include <uv.h>"],
    ["V8 in the core", "native/core/buffer.h", "#  include <v8-isolate.h>"],
    ["the core including the binding", "native/core/buffer.cc", '#include "../binding/worker.h"'],
    ["the core including an engine's inside", "native/core/buffer.cc", '#include "engine/copy/pump.h"'],
    ["an engine including the binding", "native/engine/copy/pump.cc", '#include "binding/worker.h"'],
    ["an engine including another engine", "native/engine/copy/pump.cc", '#include "../pipe/pump.h"'],
    ["a file in no layer", "src/util/strings.ts", ""],
  ])("%s", (_what, file, text) => {
    expect(check(file, text)).toHaveLength(1);
  });
});

test("a violation names file, line, reference, rule and remedy", () => {
  expect(check("src/config/load.ts", '\n\nimport { start } from "../server/start.js";')).toEqual([
    {
      file: "src/config/load.ts",
      line: 3,
      message:
        "refers to src/server/start.ts: src/config may use src/routing, src/pools, src/policy, src/dataplane, " +
        "src/observe, src/errors; pass it in from above, or move it down",
    },
  ]);
});

test("no zone names one that is not in the table", () => {
  const folders = zones.map((zone) => zone.folder);
  const unknown = zones
    .flatMap((zone) => zone.uses)
    .filter((use) => !use.endsWith(".h") && !folders.includes(use));
  expect(unknown).toEqual([]);
});
