import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { fileWith, lines } from "./config-support.js";

const bin = fileURLToPath(new URL("../../bin/longsplice.js", import.meta.url));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program as a user does, to its end; the code is -1 if it has to be ended. */
function run(file: string, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [file, ...args], { timeout: 20_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
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

/** A file whose policy forgets a timer. */
function forgetful(routes: string): string {
  const file = fileWith(
    lines({
      listeners: "listeners: [{ address: 127.0.0.1:0 }]",
      routes,
      pools: "pools: { web: { policy: forgetful, backends: [{ address: :1 }] } }",
      more: "policies: ./forgetful.ts\nengine: copy\nworkers: 1",
    }),
  );
  writeFileSync(
    join(dirname(file), "forgetful.ts"),
    `import { definePolicy, z } from "longsplice/policy";
    export default definePolicy({
      name: "forgetful",
      apiVersion: 1,
      options: z.undefined(),
      needs: { headers: [] },
      create: () => {
        setInterval(() => {}, 1000);
        return { select: () => {} };
      },
    });`,
  );
  return file;
}

test("a check ends, whatever a plugin leaves behind", async () => {
  const file = forgetful("routes: [{ pool: web }]");
  const summary = `${file}: ok (1 listener, 1 route, 1 pool, 1 backend)\n`;
  expect(await run(bin, "check", "-c", file)).toEqual({ code: 0, stdout: summary, stderr: "" });
});

test("a proxy that was told to end does, too", async () => {
  const file = forgetful("routes: [{ pool: web }]");
  const child = spawn(process.execPath, [bin, "run", "-c", file], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  for await (const line of createInterface({ input: child.stdout })) {
    if (JSON.parse(line).msg === "ready") child.kill("SIGTERM");
  }
  const [code] = child.exitCode === null ? await once(child, "exit") : [child.exitCode];
  expect(code).toBe(0);
});

test("all that a check prints arrives, also where it is more than a pipe holds", async () => {
  const count = 4000;
  const routes = Array.from({ length: count }, (_, i) => `  - { pool: web, match: { path: /${i} } }`);
  const file = forgetful(["routes:", ...routes].join("\n"));
  const { code, stdout } = await run(bin, "check", "-c", file, "--print");
  expect(code).toBe(0);
  expect(stdout.length).toBeGreaterThan(500_000);
  expect(stdout.trimEnd().split("\n").at(-1)).toMatch(/^logLevel: /);
});

test("what a policy refuses is refused by run as by check", async () => {
  const labels = 'labels: { priority: "32" }';
  const file = fileWith(
    lines({ pools: `pools: { web: { policy: priority, backends: [{ address: :1, ${labels} }] } }` }),
  );
  const [checked, ran] = await Promise.all([run(bin, "check", "-c", file), run(bin, "run", "-c", file)]);
  expect(checked.stderr).toMatch(/:3:46: pools\.web\.backends\[0\]: .*not "32" \[LS_POLICY_CREATE\]\n$/);
  expect(ran).toEqual(checked);
  expect(checked).toMatchObject({ code: 1, stdout: "" });
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
