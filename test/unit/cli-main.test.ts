import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import type { AgentOptions } from "../../src/agent/index.js";
import { main } from "../../src/cli/main.js";
import type { CliSystem } from "../../src/cli/system.js";
import type { Config } from "../../src/config/index.js";
import type { DoctorReport } from "../../src/dataplane/index.js";
import { LongspliceError } from "../../src/errors/index.js";
import { deps, fileWith, lines } from "./config-support.js";

const report: DoctorReport = {
  node: "v20.20.2",
  kernel: "6.1.0",
  arch: "x64",
  addon: { ok: true, detail: "loaded" },
  engines: [
    { name: "copy", usable: true },
    { name: "packet", usable: false, reason: "no BPF", remedy: "install clang" },
  ],
  capabilities: [{ name: "CAP_BPF", held: false }],
  limits: [{ name: "open files", value: "1024", advice: "raise it" }],
};

let stdout: string;
let stderr: string;
/** What the server was started with, and what it does. */
let served: { config: Config; configFile: string | null } | undefined;
/** What the agent was started with. */
let asked: AgentOptions | undefined;
let system: CliSystem;

beforeEach(() => {
  stdout = "";
  stderr = "";
  served = undefined;
  asked = undefined;
  system = {
    stdout: {
      write: (text) => {
        stdout += text;
      },
    },
    stderr: {
      write: (text) => {
        stderr += text;
      },
    },
    configDeps: async () => deps,
    runServer: async ({ load, configFile }) => {
      served = { config: await load(), configFile };
      return 0;
    },
    runAgent: async (options) => {
      asked = options;
      return 0;
    },
    probe: async () => report,
  };
});

const run = (...args: string[]) => main(args, system);

describe("agent", () => {
  test("needs no options, and listens where proxies ask", async () => {
    expect(await run("agent")).toBe(0);
    expect(asked).toEqual({ listen: { kind: "tcp", host: "0.0.0.0", port: 9902 }, agentCheck: null });
  });

  test("takes addresses with ports", async () => {
    expect(await run("agent", "--listen", "[::1]:0", "--agent-check", ":9903")).toBe(0);
    expect(asked).toEqual({
      listen: { kind: "tcp", host: "::1", port: 0 },
      agentCheck: { kind: "tcp", host: "0.0.0.0", port: 9903 },
    });
  });

  test.each([
    ["--listen", "nowhere", '"nowhere" is not an address: the port is missing'],
    ["--agent-check", "unix:/run/agent", "an agent cannot be asked at a Unix socket"],
  ])("refuses %s %s", async (option, text, why) => {
    expect(await run("agent", option, text)).toBe(1);
    expect(stderr).toContain(`wrong arguments: ${option}: ${why}`);
    expect(asked).toBeUndefined();
  });
});

describe("check", () => {
  test("counts what is in a good file", async () => {
    const file = fileWith(lines({ routes: "routes: [{ pool: web, match: { path: /a } }, { pool: web }]" }));
    expect(await run("check", "-c", file)).toBe(0);
    expect(stdout).toBe(`${file}: ok (1 listener, 2 routes, 1 pool, 1 backend)\n`);
    expect(stderr).toBe("");
  });

  test("prints every problem of a bad file on stderr", async () => {
    const file = fileWith(lines({ more: "workers: 0\nengin: copy" }));
    expect(await run("check", "-c", file)).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toBe(
      `${file}:4:10: workers: 0 is too small, expected at least 1 [LS_CONFIG_VALUE]\n` +
        `${file}:5:1: engin: unknown key "engin", did you mean "engine"? [LS_CONFIG_UNKNOWN_KEY]\n`,
    );
  });

  test("prints warnings on stderr and is content", async () => {
    expect(await run("check", "-c", fileWith(lines({ more: "admin: { address: 0.0.0.0:1 }" })))).toBe(0);
    expect(stderr).toContain("longsplice.yaml:4:19: warning: others can reach");
  });

  test("--print shows what is in effect", async () => {
    expect(await run("check", "-c", fileWith(lines()), "--print")).toBe(0);
    expect(stdout).toContain("listeners:\n  - address: 127.0.0.1:8080\n");
    expect(stdout).toContain("\n  response: 1m\n");
  });

  const plan = [
    "routes:",
    "  - { pool: web, match: { host: a.com, path: /x }, forward: exchange }",
    "  - { pool: web, match: { path: /y }, setRequestHeaders: { x: y } }",
    "  - { pool: web }",
  ].join("\n");

  test("--plan says how each route is carried, and what keeps it from a cheaper mode", async () => {
    const engines = [{ name: "packet", usable: true }];
    system = { ...system, probe: async () => ({ ...report, engines }) };
    expect(await run("check", "-c", fileWith(lines({ routes: plan })), "--plan")).toBe(0);
    expect(stdout).toBe(
      "#  ROUTE    POOL  FORWARD     ENGINE  WHY NOT FOR LESS\n" +
        "0  a.com/x  web   exchange    packet  forward: exchange is configured\n" +
        "1  /y       web   request     packet  it sets request headers\n" +
        "2  *        web   connection  packet  nothing is cheaper\n",
    );
  });

  test("--plan names the engine that is there, or was asked for", async () => {
    expect(await run("check", "-c", fileWith(lines({ routes: plan })), "--plan")).toBe(0);
    expect(stdout).toContain("2  *        web   exchange  copy    packet: no BPF\n");
    stdout = "";
    expect(await run("check", "-c", fileWith(lines({ routes: plan, more: "engine: pipe" })), "--plan")).toBe(
      0,
    );
    expect(stdout).toContain("2  *        web   exchange  pipe    engine: pipe is configured\n");
  });

  test("takes either --print or --plan, and needs a file", async () => {
    expect(await run("check", "-c", fileWith(lines()), "--plan", "--print")).toBe(1);
    expect(await run("check")).toBe(1);
    expect(stderr).toContain("--print and --plan do not go together");
    expect(stderr).toContain("required option '-c, --config <file>' not specified");
  });
});

describe("run", () => {
  test("serves what the file says, with the options of the command line over it", async () => {
    const file = fileWith(lines({ more: "workers: 1" }));
    const options =
      "--workers 2 --admin :0 --engine packet --forward connection --log-level warn --access-log json";
    expect(await run("run", "-c", file, ...options.split(" "))).toBe(0);
    expect(served!.configFile).toBe(file);
    expect(served!.config).toMatchObject({
      workers: 2,
      admin: { address: { port: 0 } },
      engine: "packet",
      forward: "connection",
      logLevel: "warn",
      accessLog: "json",
    });
  });

  test("serves what --listen and --backend describe", async () => {
    const args = "--listen :0 --listen [::1]:0 --backend :1 --backend :2 --policy uri-hash";
    expect(await run("run", ...args.split(" "))).toBe(0);
    expect(served!.configFile).toBeNull();
    expect(served!.config.listeners).toHaveLength(2);
    expect(served!.config.pools.get("default")).toMatchObject({
      policy: [{ name: "uri-hash" }],
      backends: [{ address: { port: 1 } }, { address: { port: 2 } }],
    });
  });

  test.each([
    ["", "what to serve?"],
    ["--listen :1", "what to serve?"],
    ["--backend :1", "what to serve?"],
    ["-c x --listen :1", "--listen describes a configuration without a file"],
    ["-c x --backend :1", "--backend describes a configuration without a file"],
    ["-c x --policy uri-hash", "--policy describes a configuration without a file"],
    ["-c x --takeover", "--takeover is not in this version"],
    ["--listen :1 --backend :1 --keep-on-crash", "--keep-on-crash is not in this version"],
    ["-c x y", "too many arguments"],
    ["-c", "argument missing"],
  ])("refuses the arguments %j: %s", async (args, why) => {
    expect(await run("run", ...args.split(" ").filter((arg) => arg !== ""))).toBe(1);
    expect(stderr).toContain(why);
    expect(served).toBeUndefined();
  });

  test.each([
    [new LongspliceError("LS_CONFIG_READ", "x"), 1, "[LS_CONFIG_READ]"],
    [new LongspliceError("LS_LISTEN_ADDRESS_IN_USE", "127.0.0.1:80"), 2, "in use: 127.0.0.1:80\n"],
    [new TypeError("a bug"), 70, "internal error: TypeError: a bug\n    at "],
  ])("ends with the exit code of the error: %s, %d", async (error, exitCode, printed) => {
    system = { ...system, runServer: () => Promise.reject(error) };
    expect(await run("run", "-c", "x")).toBe(exitCode);
    expect(stderr).toContain(printed);
  });

  test("ends with the exit code of the server", async () => {
    system = { ...system, runServer: async () => 70 };
    expect(await run("run", "-c", "x")).toBe(70);
  });
});

describe("doctor", () => {
  test("says what works, what does not, and what to do", async () => {
    expect(await run("doctor")).toBe(0);
    expect(stdout).toBe(`system
  node    v20.20.2
  kernel  6.1.0
  arch    x64

addon
  ✓ loaded

engines
  ✓ copy    usable
  ✗ packet  no BPF
            install clang

capabilities
  ✗ CAP_BPF

limits
  open files  1024  raise it
`);
  });

  test("says by which hooks packets are carried, and shows all that a kernel said against it", async () => {
    const engines = [
      { name: "copy", usable: true },
      { name: "packet", usable: true, hooks: "tcx" as const },
    ];
    system = { ...system, probe: async () => ({ ...report, engines }) };
    await run("doctor");
    expect(stdout).toContain("  ✓ copy    usable\n  ✓ packet  usable, by tcx hooks\n");
    const refused = {
      name: "packet",
      usable: false,
      reason: "refused: line 1\nline 2",
      remedy: "Report it.",
    };
    system = { ...system, probe: async () => ({ ...report, engines: [refused] }) };
    stdout = "";
    await run("doctor");
    expect(stdout).toContain("  ✗ packet  refused: line 1\n            line 2\n            Report it.\n");
  });

  test("uses colours on a terminal only", async () => {
    system = { ...system, stdout: { ...system.stdout, isTTY: true } };
    const before = process.env.NO_COLOR;
    try {
      delete process.env.NO_COLOR;
      await run("doctor");
      expect(stdout).toContain("\u001b[32m✓\u001b[39m copy");
      stdout = "";
      process.env.NO_COLOR = "1";
      await run("doctor");
      expect(stdout).not.toContain("\u001b");
    } finally {
      if (before === undefined) delete process.env.NO_COLOR;
      else process.env.NO_COLOR = before;
    }
  });

  test("--json prints the report for scripts", async () => {
    expect(await run("doctor", "--json")).toBe(0);
    expect(JSON.parse(stdout)).toEqual(report);
  });

  test("ends with 2 where the addon does not load", async () => {
    system = { ...system, probe: async () => ({ ...report, addon: { ok: false, detail: "not built" } }) };
    expect(await run("doctor")).toBe(2);
    expect(stdout).toContain("✗ not built");
  });
});

describe("version and help", () => {
  const manifest = readFileSync(fileURLToPath(new URL("../../package.json", import.meta.url)), "utf8");
  const { version } = JSON.parse(manifest) as { version: string };

  test.each([["version"], ["--version"], ["-V"]])("%s names every part that matters", async (arg) => {
    expect(await run(arg)).toBe(0);
    expect(stdout).toMatch(/^longsplice (\S+) \(node [\d.]+, llhttp [\d.]+, kernel \S+\)\n$/);
    expect(stdout).toContain(`longsplice ${version} `);
  });

  test("--help lists the commands and goes to stdout", async () => {
    expect(await run("--help")).toBe(0);
    for (const command of ["run", "check", "doctor", "version"]) {
      expect(stdout).toMatch(new RegExp(`^  ${command} `, "m"));
    }
    expect(stderr).toBe("");
  });

  test.each([
    [
      "run",
      "--listen",
      "--backend",
      "--policy",
      "--engine",
      "--forward",
      "--workers",
      "--admin",
      "--log-level",
    ],
    ["check", "--config", "--print", "--plan"],
    ["doctor", "--json"],
  ])("%s --help lists its options", async (command, ...options) => {
    expect(await run(command, "--help")).toBe(0);
    for (const option of options) expect(stdout).toContain(option);
  });

  test("without a command the help goes to stderr", async () => {
    expect(await run()).toBe(1);
    expect(stderr).toContain("Usage: longsplice");
    expect(stderr).not.toContain("wrong arguments");
  });

  test.each([["foo"], ["run --bogus"], ["run --engine"], ["agent x"], ["check"]])(
    "wrong arguments have a code and a remedy: %s",
    async (args) => {
      expect(await run(...args.split(" "))).toBe(1);
      expect(stderr).toMatch(/^wrong arguments: .+\n {2}See `longsplice --help`.*\[LS_CLI_ARGUMENTS\]\n$/);
    },
  );

  test.each([
    [["chekc"], "(Did you mean check?)"],
    [["run", "--lisen", ":1"], "(Did you mean --listen?)"],
    [["doctor", "--jsno"], "(Did you mean --json?)"],
  ])("%j is refused with what was probably meant", async (args, hint) => {
    expect(await run(...args)).toBe(1);
    expect(stderr).toContain(hint);
  });
});
