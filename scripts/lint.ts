/** Every static check of the repository; each step is one check that passes or fails as a whole. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const tool = (name: string) => join(root, "node_modules/.bin", name);

interface Step {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** What to do when it fails, where its own output does not say so. */
  readonly remedy: string;
}

/** Files below the folders (relative to the root) that `wanted` accepts. */
function filesBelow(folders: readonly string[], wanted: (file: string) => boolean): string[] {
  return folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) =>
        join(folder, name),
      ),
    )
    .filter(wanted)
    .sort();
}

function isShellScript(file: string): boolean {
  if (file.endsWith(".sh")) return true;
  return !file.includes(".", 1) && readFileSync(join(root, file), "latin1").startsWith("#!/usr/bin/env bash");
}

function steps(): Step[] {
  const cpp = filesBelow(["native", "bench"], (file) => /\.(cc|h)$/.test(file));
  const shell = [...filesBelow(["scripts"], isShellScript), ".ci/run"];
  return [
    {
      name: "biome (lint and format)",
      command: [tool("biome"), "check", "--error-on-warnings"],
      remedy: "npx biome check --write repairs what can be repaired",
    },
    {
      name: "types",
      command: [tool("tsc"), "-p", "tsconfig.json", "--noEmit"],
      remedy: "npx tsc --noEmit shows these again",
    },
    {
      name: "layers",
      command: [process.execPath, "--import", "tsx", "scripts/check-layers.ts"],
      remedy: "the table of layers is scripts/layers.ts",
    },
    {
      name: "C++ format",
      command: ["clang-format-14", "--dry-run", "-Werror", ...cpp],
      remedy: "clang-format-14 -i FILE repairs it",
    },
    {
      name: "shell scripts",
      command: ["shellcheck", "--external-sources", ...shell],
      remedy: "each code is explained by shellcheck's wiki",
    },
  ];
}

/** Runs one step to its end, printing one line, and its output only if it failed. */
function run({ name, command: [program, ...args], remedy }: Step): Promise<boolean> {
  const started = performance.now();
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    const output: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => output.push(chunk));
    const finish = (passed: boolean, detail: string) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      console.log(`${passed ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
      if (!passed) console.log(`${Buffer.concat(output).toString().trimEnd()}\n${detail}\n`);
      resolve(passed);
    };
    child.once("error", (error) => finish(false, `${program} could not run: ${error.message}`));
    child.once("close", (code) => finish(code === 0, remedy));
  });
}

/** Runs all steps, also after one has failed, and counts them. */
export async function lint(): Promise<{ passed: number; failed: number }> {
  const results = await Promise.all(steps().map(run));
  const passed = results.filter(Boolean).length;
  return { passed, failed: results.length - passed };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { failed } = await lint();
  process.exitCode = failed === 0 ? 0 : 1;
}
