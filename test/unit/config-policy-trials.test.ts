/** What policies say only when they are made with the backends of their pools. */
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { configFromFlags, loadConfig } from "../../src/config/index.js";
import { LongspliceError } from "../../src/errors/index.js";
import { deps, fileWith, lines, problemsOf } from "./config-support.js";

const pools = (entries: string) => lines({ pools: `pools: { web: { ${entries} } }` });
const tiers = (...labels: string[]) =>
  labels.map((label, i) => `{ address: ":${i + 1}", labels: { priority: ${label} } }`).join(", ");
const refused = 'a policy could not be created: policy "priority" of pool "web": label priority of backend';
const expected = "must be a whole number from 0 to 31, not";

test("labels that a policy refuses are found at their backends, all of them", async () => {
  expect(await problemsOf(pools(`policy: priority, backends: [${tiers('"1"', '"32"', '"x\\ny"')}]`))).toEqual(
    [
      `longsplice.yaml:3:92: pools.web.backends[1]: ${refused} 127.0.0.1:2 ${expected} "32" [LS_POLICY_CREATE]`,
      `longsplice.yaml:3:139: pools.web.backends[2]: ${refused} 127.0.0.1:3 ${expected} "x y" [LS_POLICY_CREATE]`,
    ],
  );
});

test("a zone that a policy does not know is found", async () => {
  const nearest = "{ name: nearest, options: { zones: { eu: { networks: [10.0.0.0/8] } } } }";
  const backends = '[{ address: ":1", labels: { zone: us } }]';
  expect(await problemsOf(pools(`policy: [${nearest}, round-robin], backends: ${backends}`))).toEqual([
    expect.stringMatching(/:3:\d+: pools\.web\.backends\[0\]: .*the zones are eu \[LS_POLICY_CREATE\]$/),
  ]);
});

test("other problems of the file hide nothing of it, not even those of the pool", async () => {
  const text = lines({
    routes: "routes: [{ pool: wbe }]",
    pools: `pools: { web: { policy: [priority, no], maxConnections: -1, backends: [${tiers('"32"')}] } }`,
  });
  expect((await problemsOf(text)).map((problem) => /\[LS_\w+\]$/.exec(problem)?.[0])).toEqual([
    "[LS_CONFIG_UNKNOWN_POOL]",
    "[LS_POLICY_UNKNOWN]",
    "[LS_CONFIG_VALUE]",
    "[LS_POLICY_CREATE]",
  ]);
});

test("what cannot be tried is not", async () => {
  const text = pools(`policy: priority, backends: [${tiers('"32"')}, { address: nowhere }]`);
  expect(await problemsOf(text)).toEqual([expect.stringContaining("LS_CONFIG_ADDRESS")]);
  const unknown = pools(`policy: [{ name: priority, options: { lable: x } }], backends: [${tiers('"32"')}]`);
  expect(await problemsOf(unknown)).toEqual([expect.stringContaining("LS_POLICY_OPTIONS")]);
});

/** A file with a plugin beside it, whose policy `mine` has this method, and what stands behind it. */
function withPlugin(
  create: string,
  pool = "policy: [round-robin, mine], backends: [{ address: :1 }]",
): string {
  const file = fileWith(lines({ pools: `pools: { web: { ${pool} } }`, more: "policies: mine.mjs" }));
  const schema = '{ "~standard": { version: 1, vendor: "x", validate: (value) => ({ value }) } }';
  const module = `{ name: "mine", apiVersion: 1, options: ${schema}, needs: { headers: [] }, ${create} }`;
  writeFileSync(join(dirname(file), "mine.mjs"), `export default ${module};`);
  return file;
}

test("a policy that no backend can be blamed for is found where it is named", async () => {
  const file = withPlugin('create() { throw new Error("no licence") }');
  await expect(loadConfig(file, deps)).rejects.toMatchObject({
    problems: [
      {
        line: 3,
        column: 39,
        code: "LS_POLICY_CREATE",
        message: expect.stringMatching(/^pools\.web\.policy\[1\]: .*no licence$/),
      },
    ],
  });
});

test("a pool that only discovers backends has policies that can be made without", async () => {
  const file = withPlugin(
    "create(_, { backends }) { throw new Error(String(backends.length)) }",
    "policy: mine, discover: [{ dns: app:80 }]",
  );
  await expect(loadConfig(file, deps)).rejects.toMatchObject({
    problems: [{ code: "LS_POLICY_CREATE", message: expect.stringMatching(/"web": 0$/) }],
  });
});

test("policies that together look at more headers than cross from native code are found", async () => {
  const needs = 'needs: { headers: Array.from({ length: 64 }, (_, i) => "x-" + i) }';
  const other = "{ name: header-hash, options: { header: x-64 } }";
  const file = withPlugin(
    `create: () => ({ select() {} }), ${needs}`,
    `policy: [mine, ${other}], backends: [{ address: :1 }]`,
  );
  await expect(loadConfig(file, deps)).rejects.toMatchObject({
    problems: [
      {
        line: 3,
        column: 25,
        code: "LS_POLICY_CREATE",
        message: "pools.web.policy: the policies need 65 headers, expected at most 64",
      },
    ],
  });
});

test("the command line is named where it is the configuration", async () => {
  const flags = { listen: [":0"], backend: [":1"], policy: "priority" };
  const refusals = () => [{ error: new LongspliceError("LS_POLICY_CREATE", "no"), backend: 0 }];
  const loadPolicies = async () => ({ ...(await deps.loadPolicies([])), refusals });
  await expect(configFromFlags(flags, { ...deps, loadPolicies })).rejects.toMatchObject({
    problems: [{ file: "--backend", line: 0, code: "LS_POLICY_CREATE" }],
  });
});
