import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { fileWith, lines } from "./config-support.js";

const bin = fileURLToPath(new URL("../../bin/longsplice.js", import.meta.url));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program as a user does, to its end. */
function run(file: string, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [file, ...args], { timeout: 20_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test("the program checks a file, regular expressions and policies with what will serve it", async () => {
  const file = fileWith(
    lines({
      routes:
        'routes: [{ pool: web, match: { pathRegex: "(?=a)" } }, { pool: web, match: { pathRegex: "a+" } }]',
      pools: "pools: { web: { policy: least-connection, backends: [{ address: :1 }] } }",
    }),
  );
  const { code, stdout, stderr } = await run(bin, "check", "-c", file);
  expect(stderr.split("\n")).toEqual([
    expect.stringMatching(/:2:43: routes\[0\]\.match\.pathRegex: "\(\?=a\)" is not .*\[LS_CONFIG_REGEX\]$/),
    `${file}:3:25: pools.web.policy[0].name: unknown policy "least-connection", did you mean "least-connections"? [LS_POLICY_UNKNOWN]`,
    "",
  ]);
  expect(stdout).toBe("");
  expect(code).toBe(1);
});

test("the example of the repository is good", async () => {
  const example = fileURLToPath(new URL("../../examples/longsplice.yaml", import.meta.url));
  expect(await run(bin, "check", "-c", example)).toEqual({
    code: 0,
    stdout: `${example}: ok (1 listener, 4 routes, 3 pools, 5 backends)\n`,
    stderr: "",
  });
});

test("a program that was not built says how to build it", async () => {
  const folder = join(dirname(fileWith("", "package.json")), "bin");
  mkdirSync(folder);
  const copy = join(folder, "longsplice.mjs");
  copyFileSync(bin, copy);
  expect(await run(copy, "version")).toEqual({
    code: 2,
    stdout: "",
    stderr: "longsplice is not built yet: run `npm run build` in its folder\n",
  });
});
