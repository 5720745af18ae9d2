import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { configFromFlags, formatWarning, loadConfig, printConfig } from "../../src/config/index.js";
import { deps, fileWith, lines, load } from "./config-support.js";

const examples = fileURLToPath(new URL("../../examples", import.meta.url));

describe("a configuration", () => {
  test("of three keys has a default for everything else", async () => {
    const { config, warnings } = await load(lines());
    expect(config).toEqual({
      listeners: [{ address: { kind: "tcp", host: "127.0.0.1", port: 8080 }, proxyProtocol: [] }],
      forwarded: null,
      routes: [
        {
          match: { header: {} },
          pool: "web",
          forward: "auto",
          setRequestHeaders: [],
          removeRequestHeaders: [],
          setResponseHeaders: [],
          removeResponseHeaders: [],
          label: "*",
        },
      ],
      pools: new Map([
        [
          "web",
          {
            name: "web",
            proxyProtocol: "none",
            policy: [{ name: "round-robin", options: undefined, sharedBytes: 0 }],
            traits: { choosesBy: "load", readsResponses: false, changesResponses: false },
            backends: [{ address: { kind: "tcp", host: "127.0.0.1", port: 9001 }, weight: 1, labels: {} }],
            discover: [],
            health: null,
            load: null,
            outliers: null,
            slowStart: 0,
            maxConnections: 0,
            retries: { percent: 20, min: 3 },
          },
        ],
      ]),
      policies: [],
      admin: null,
      timeouts: {
        header: 10_000,
        connect: 3000,
        queue: 3000,
        response: 60_000,
        idle: 75_000,
        stream: 300_000,
        drain: 30_000,
      },
      limits: { headerBytes: 16_384, headers: 100, connections: 0, queue: 1024 },
      resolver: [],
      workers: Math.min(64, availableParallelism()),
      engine: "auto",
      pipeFrom: 131_072,
      sockmapFrom: 524_288,
      sockmapTo: 1_048_576,
      interfaces: "auto",
      forward: "auto",
      accessLog: "off",
      logLevel: "info",
    });
    expect(warnings).toEqual([]);
  });

  test("can say everything else", async () => {
    const { config } = await load(`
listeners: [{ address: ":80" }, { address: "unix:run/in.sock" }, { address: ":0", proxyProtocol: [10.0.0.0/8, "2001:DB8::1"] }, { address: ":0" }]
routes:
  - match: { host: "*.Example.COM", path: /api/, method: [GET, POST], header: { Accept: "video/*" } }
    pool: api
    forward: exchange
    setRequestHeaders: { X-Forwarded-For: "{client.address}", host: "{host}" }
    removeRequestHeaders: Cookie
    setResponseHeaders: { server: " longsplice " , x: '{"plain": "text"}' }
    removeResponseHeaders: [Via, X-Powered-By]
  - { match: { pathRegex: "^/a", method: HEAD }, pool: api }
pools:
  api:
    policy: [least-connections, { name: uri-hash, options: { query: true } }]
    backends:
      - { address: "Backend.internal:9001", weight: 0, labels: { zone: eu } }
      - { address: ":9002" }
    health: { path: /healthz?deep, host: "a.example:81", status: [200, 301-304], body: "a: b", port: 81, interval: 500ms, fastInterval: 50ms, timeout: 1.5s, rise: 1, fall: 5 }
    load: { source: header, expires: 1m }
    outliers: { latencyFactor: 2.5, ejection: 1m }
    slowStart: 1m
    maxConnections: 7
admin: { address: ":9901", token: "a-long-secret==" }
timeouts: { header: 1m, drain: 0s }
limits: { headerBytes: 1MB, connections: 5, queue: 0 }
workers: 3
forwarded: { headers: forwarded, trust: 192.0.2.1 }
engine: copy
interfaces: [lo, eth0.12]
accessLog: off
logLevel: debug
`);
    expect(config.listeners.slice(1, 3)).toEqual([
      { address: { kind: "unix", path: expect.stringMatching(/^\/.*\/run\/in\.sock$/) }, proxyProtocol: [] },
      {
        address: { kind: "tcp", host: "0.0.0.0", port: 0 },
        proxyProtocol: ["10.0.0.0/8", "2001:db8::1/128"],
      },
    ]);
    expect(config.forwarded).toEqual({ headers: ["forwarded"], trust: ["192.0.2.1/32"] });
    expect(config.routes[0]).toEqual({
      match: { host: "*.example.com", path: "/api/", method: ["GET", "POST"], header: { accept: "video/*" } },
      pool: "api",
      forward: "exchange",
      setRequestHeaders: [
        ["X-Forwarded-For", "{client.address}"],
        ["host", "{host}"],
      ],
      removeRequestHeaders: ["cookie"],
      setResponseHeaders: [
        ["server", "longsplice"],
        ["x", '{"plain": "text"}'],
      ],
      removeResponseHeaders: ["via", "x-powered-by"],
      label: "GET,POST *.example.com/api/ accept=video/*",
    });
    expect(config.routes[1]).toMatchObject({
      match: { pathRegex: "^/a", method: ["HEAD"] },
      label: "HEAD ~^/a",
    });
    expect(config.pools.get("api")).toMatchObject({
      policy: [
        { name: "least-connections", options: undefined },
        { name: "uri-hash", options: { query: true } },
      ],
      backends: [
        { address: { host: "backend.internal", port: 9001 }, weight: 0, labels: { zone: "eu" } },
        { address: { host: "127.0.0.1", port: 9002 }, weight: 1 },
      ],
      health: {
        type: "http",
        path: "/healthz?deep",
        host: "a.example:81",
        status: [
          [200, 200],
          [301, 304],
        ],
        body: "a: b",
        port: 81,
        interval: 500,
        fastInterval: 50,
        timeout: 1500,
        rise: 1,
        fall: 5,
      },
      load: { source: "header", port: 9902, interval: 2000, timeout: 1000, expires: 60_000 },
      outliers: { consecutiveFailures: 5, latencyFactor: 2.5, ejection: 60_000, maxEjection: 300_000 },
      slowStart: 60_000,
      maxConnections: 7,
    });
    expect(config.admin).toEqual({
      address: { kind: "tcp", host: "127.0.0.1", port: 9901 },
      token: "a-long-secret==",
    });
    expect(config.timeouts).toMatchObject({ header: 60_000, drain: 0, connect: 3000 });
    expect(config.limits).toEqual({ headerBytes: 1_000_000, headers: 100, connections: 5, queue: 0 });
    expect(config).toMatchObject({ workers: 3, engine: "copy", accessLog: "off", logLevel: "debug" });
    expect(config.interfaces).toEqual(["lo", "eth0.12"]);
  });

  test("may be JSON", async () => {
    const text = JSON.stringify({
      listeners: [{ address: ":1" }],
      routes: [{ pool: "a" }],
      pools: { a: { backends: [{ address: ":2" }] } },
    });
    const { config } = await loadConfig(fileWith(text, "longsplice.json"), deps);
    expect(config.routes[0]!.pool).toBe("a");
  });

  test("cannot be changed afterwards, however deep", async () => {
    const { config } = await load(lines({ more: "admin: { address: :1 }" }));
    const parts = [
      config,
      config.timeouts,
      config.admin!.address,
      config.routes[0]!.match.header,
      config.pools.get("web")!.backends[0]!.labels,
    ];
    expect(parts.map((part) => Object.isFrozen(part))).toEqual([true, true, true, true, true]);
  });

  test("gives routes its own forward mode", async () => {
    const routes =
      "routes: [{ pool: web, match: { path: /a } }, { pool: web, forward: auto, setResponseHeaders: { x: y } }]";
    const { config } = await load(lines({ routes, more: "forward: connection\nengine: packet" }));
    expect(config.routes.map((route) => route.forward)).toEqual(["connection", "auto"]);
  });

  test("finds policy files beside itself, and lets pools name what is in them", async () => {
    const file = fileWith(
      lines({
        pools: "pools: { web: { policy: mine, backends: [{ address: :1 }] } }",
        more: "policies: ./my-*.mjs",
      }),
    );
    const schema = '{ "~standard": { version: 1, vendor: "x", validate: (value) => ({ value }) } }';
    const create = "create: () => ({ select() {} })";
    const module = `{ name: "mine", apiVersion: 1, options: ${schema}, needs: { headers: [] }, ${create} }`;
    writeFileSync(join(dirname(file), "my-policy.mjs"), `export default ${module};`);
    const { config } = await loadConfig(file, deps);
    expect(config.pools.get("web")!.policy[0]!.name).toBe("mine");
    expect(config.policies).toEqual([join(dirname(file), "my-*.mjs")]);
  });
});

describe("the command line", () => {
  test("wins over the file", async () => {
    const flags = { workers: "2", engine: "copy", forward: "exchange", logLevel: "warn", accessLog: "json" };
    const text = lines({ more: "workers: 1\nlogLevel: debug\nadmin: { address: :1, token: abcdefgh }" });
    const { config } = await load(text, { ...flags, admin: "unix:admin.sock" });
    expect(config).toMatchObject({ ...flags, workers: 2 });
    expect(config.routes[0]!.forward).toBe("exchange");
    expect(config.admin).toEqual({
      address: { kind: "unix", path: join(process.cwd(), "admin.sock") },
      token: "abcdefgh",
    });
  });

  test("alone can describe one pool", async () => {
    const flags = { listen: [":8080", "[::1]:8080"], backend: [":1", ":2"], policy: "power-of-two" };
    const { config } = await configFromFlags({ ...flags, admin: ":0" }, deps);
    expect(config.listeners).toHaveLength(2);
    expect(config.routes.map(({ pool, label }) => [pool, label])).toEqual([["default", "*"]]);
    const pool = config.pools.get("default")!;
    expect(pool.backends.map(({ address }) => address)).toMatchObject([{ port: 1 }, { port: 2 }]);
    expect(pool.policy).toEqual([{ name: "power-of-two", options: undefined, sharedBytes: 0 }]);
    expect(config.admin).toMatchObject({ address: { port: 0 } });
  });

  test("alone has its problems blamed on the options", async () => {
    const wrong = configFromFlags({ listen: [":80", "x"], backend: [":0"], policy: "x" }, deps);
    await expect(wrong).rejects.toMatchObject({
      problems: [
        { file: "--listen", line: 0 },
        { file: "--backend", line: 0 },
        { file: "--policy", line: 0, code: "LS_POLICY_UNKNOWN" },
      ],
    });
  });
});

describe("a warning names the place of", () => {
  const printed = async (text: string) => {
    const { warnings } = await load(text);
    return warnings.map((warning) => formatWarning(warning).replace(/^.*\//, ""));
  };

  test("a route behind one that matches everything", async () => {
    const routes = "routes: [{ pool: web, match: {} }, { pool: web, match: { path: /a } }]";
    expect(await printed(lines({ routes }))).toEqual([
      "longsplice.yaml:2:36: warning: never reached: routes[0] matches every request, and the first match wins",
    ]);
  });

  test("an admin address that others can reach, unless there is a token", async () => {
    expect(await printed(lines({ more: "admin: { address: 0.0.0.0:1 }" }))).toEqual([
      "longsplice.yaml:4:19: warning: others can reach this address, so without admin.token nothing can be changed through it",
    ]);
    expect(await printed(lines({ more: "admin: { address: 0.0.0.0:1, token: abcdefgh }" }))).toEqual([]);
    expect(await printed(lines({ more: 'admin: { address: "[::1]:1" }' }))).toEqual([]);
    expect(await printed(lines({ more: "admin: { address: unix:/run/x }" }))).toEqual([]);
  });
});

describe("the printed configuration", () => {
  const reprinted = async (text: string) => {
    const folder = mkdtempSync(join(tmpdir(), "longsplice-print-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "printed.yaml");
    writeFileSync(file, text);
    return (await loadConfig(file, deps)).config;
  };

  const files = readdirSync(examples).filter((file) => file.endsWith(".yaml"));

  test.each(files)("of examples/%s loads to the same configuration, from another folder", async (file) => {
    const { config, warnings } = await loadConfig(join(examples, file), deps);
    expect(warnings).toEqual([]);
    expect(await reprinted(printConfig(config))).toEqual(config);
  });

  test("of any values loads to the same configuration", async () => {
    const text = fc.string({ unit: "grapheme", maxLength: 12 });
    const values = fc.record({
      labels: fc.dictionary(fc.stringMatching(/^[A-Za-z0-9][\w.-]{0,9}$/), text, { maxKeys: 3 }),
      options: fc.constantFrom(undefined, { query: true }),
      glob: text,
      value: fc.stringMatching(/^[ -~\xa0-\xff]{0,12}$/).map((value) => value.replaceAll("{", "")),
      idle: fc.integer({ min: 11, max: 2_000_000_000 }),
      headerBytes: fc.integer({ min: 256, max: 2 ** 20 }),
      accessLog: fc.constantFrom("off", "json", "combined"),
    });
    await fc.assert(
      fc.asyncProperty(values, async ({ labels, options, glob, value, idle, headerBytes, accessLog }) => {
        const data = {
          listeners: [{ address: ":0" }],
          routes: [{ pool: "off", match: { header: { x: glob } }, setRequestHeaders: { a: value } }],
          pools: {
            off: {
              policy: { name: "uri-hash", ...(options === undefined ? {} : { options }) },
              backends: [{ address: "unix:/x y", labels }],
              load: { source: "agent", port: 1, expires: `${idle}ms`, interval: "10ms" },
            },
          },
          timeouts: { idle: `${idle}ms` },
          limits: { headerBytes },
          accessLog,
        };
        const folder = mkdtempSync(join(tmpdir(), "longsplice-print-"));
        try {
          const [first, second] = [join(folder, "first.json"), join(folder, "second.yaml")];
          writeFileSync(first, JSON.stringify(data));
          const { config } = await loadConfig(first, deps);
          writeFileSync(second, printConfig(config));
          expect((await loadConfig(second, deps)).config).toEqual(config);
        } finally {
          rmSync(folder, { recursive: true });
        }
      }),
      { numRuns: 150 },
    );
  });
});
