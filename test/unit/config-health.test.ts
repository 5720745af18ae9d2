import { describe, expect, test } from "vitest";
import { printConfig } from "../../src/config/index.js";
import { lines, load, problemsOf } from "./config-support.js";

/** A file whose only pool has these entries besides its backend. */
const pool = (entries: string) =>
  lines({ pools: `pools: { web: { backends: [{ address: ":9001" }], ${entries} } }` });

describe("how a pool keeps its backends well", () => {
  test.each([
    [
      "a health check of no path",
      pool("health: { path: healthz }"),
      'longsplice.yaml:3:67: pools.web.health.path: "healthz" is not a request target, expected one such as /healthz [LS_CONFIG_VALUE]',
    ],
    [
      "a health check of no status",
      pool("health: { path: /, status: [200, 300-200] }"),
      'longsplice.yaml:3:84: pools.web.health.status[1]: "300-200" is not a status or a range of them, expected one such as 204 or 200-399 [LS_CONFIG_VALUE]',
    ],
    [
      "a health check for a host with a blank",
      pool("health: { path: /, host: a b }"),
      'longsplice.yaml:3:76: pools.web.health.host: "a b" is not a host, expected one such as www.example.com [LS_CONFIG_VALUE]',
    ],
    [
      "a health check by HTTP without a path",
      pool("health: { interval: 1s }"),
      'longsplice.yaml:3:59: pools.web.health: the key "path" is missing [LS_CONFIG_MISSING_KEY]',
    ],
    [
      "a health check with a misspelt path",
      pool("health: { pth: /healthz }"),
      'longsplice.yaml:3:61: pools.web.health.pth: unknown key "pth", did you mean "path"? [LS_CONFIG_UNKNOWN_KEY]',
    ],
    [
      "a health check by TCP with a path",
      pool("health: { type: tcp, path: / }"),
      "longsplice.yaml:3:72: pools.web.health.path: a check of type tcp asks for nothing, expected type: http, or not this key [LS_CONFIG_CONFLICT]",
    ],
    [
      "a factor that is no number",
      pool("outliers: { latencyFactor: much }"),
      'longsplice.yaml:3:78: pools.web.outliers.latencyFactor: "much" is not possible here, expected a number from 0 to 100 such as 1.9 [LS_CONFIG_VALUE]',
    ],
  ])("has problems that are printed with line and column: %s", async (_name, text, printed) => {
    expect(await problemsOf(text)).toEqual([printed]);
  });

  test.each([
    "health: { path: /, status: [200, 301-304], body: x, host: a.example, port: 81 }",
    "health: { type: tcp, fastInterval: 20ms }",
    "outliers: {}, slowStart: 30s",
    "outliers: { latencyFactor: 2.5, maxEjection: 1h }",
  ])("is printed so that it loads to the same: %s", async (entries) => {
    const { config } = await load(pool(entries));
    expect((await load(printConfig(config))).config).toEqual(config);
  });
});
