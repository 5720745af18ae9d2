/** Who moves the bytes, and what user space sees of them: `engine`, `forward`, `interfaces`. */
import { describe, expect, test } from "vitest";
import { formatWarning, printConfig } from "../../src/config/index.js";
import { planCarriers } from "../../src/server/carriers.js";
import { lines, load, problemsOf } from "./config-support.js";

const route = (entries: string) => lines({ routes: `routes: [{ pool: web, ${entries} }]` });
const more = (text: string, entries = "") =>
  lines({ routes: `routes: [{ pool: web, ${entries} }]`, more: text });

describe("refused with line and column is", () => {
  test.each([
    [
      "response headers that a route by connection never sees",
      route("forward: connection, setResponseHeaders: { x: y }, removeResponseHeaders: via"),
      "2:44: routes[0].setResponseHeaders: the route forwards by connection, which sees no response; expected forward: exchange, or no response headers [LS_CONFIG_CONFLICT]\n" +
        "2:74: routes[0].removeResponseHeaders: the route forwards by connection, which sees no response; expected forward: exchange, or no response headers [LS_CONFIG_CONFLICT]",
    ],
    [
      "response headers where the mode of all routes is connection",
      more("forward: connection", "removeResponseHeaders: [via]"),
      "2:23: routes[0].removeResponseHeaders: the route forwards by connection, which sees no response; expected forward: exchange, or no response headers [LS_CONFIG_CONFLICT]",
    ],
    [
      "response headers where the mode is request",
      more("forward: request", "removeResponseHeaders: [via]"),
      "2:23: routes[0].removeResponseHeaders: the route forwards by request, which sees no response; expected forward: exchange, or no response headers [LS_CONFIG_CONFLICT]",
    ],
    [
      "an interface name that the kernel does not take",
      more("interfaces: [lo, a-name-too-long-]"),
      '4:18: interfaces[1]: "a-name-too-long-" is not the name of an interface, expected at most 15 bytes without blanks, slashes and colons [LS_CONFIG_VALUE]',
    ],
    [
      "no interfaces",
      more("interfaces: []"),
      "4:13: interfaces: the list is empty, expected at least one entry [LS_CONFIG_VALUE]",
    ],
    [
      "an interface twice",
      more("interfaces: [lo, lo]"),
      '4:13: interfaces: the interface "lo" is there twice [LS_CONFIG_DUPLICATE]',
    ],
    [
      "all interfaces and one more",
      more("interfaces: [auto, lo]"),
      '4:13: interfaces: "auto" stands for all interfaces, expected it alone [LS_CONFIG_CONFLICT]',
    ],
  ])("%s", async (_name, text, printed) => {
    const found = await problemsOf(text);
    expect(found).toEqual(printed.split("\n").map((line) => `longsplice.yaml:${line}`));
  });
});

test("the forward mode of the command line has no response headers either", async () => {
  const text = route("setResponseHeaders: { x: y }");
  expect(await problemsOf(text, { flags: { forward: "connection" } })).toEqual([
    "longsplice.yaml:2:23: routes[0].setResponseHeaders: the route forwards by connection, which sees no response; expected forward: exchange, or no response headers [LS_CONFIG_CONFLICT]",
  ]);
});

test("a route is carried as both it and the policies of its pool ask for", async () => {
  const carried = async (entries: string, policy = "round-robin") => {
    const pools = `pools: { web: { policy: ${policy}, backends: [{ address: 127.0.0.1:9001 }] } }`;
    const { config } = await load(lines({ routes: `routes: [{ pool: web, ${entries} }]`, pools }));
    return planCarriers(config, undefined)[0]?.forward;
  };
  expect(await carried("")).toBe("connection");
  expect(await carried("setResponseHeaders: { x: y }")).toBe("exchange");
  const sticky = "{ name: cookie-sticky, options: { secret: a secret of this test } }";
  expect(await carried("", sticky)).toBe("exchange");
  const maglev = (options: string) => `{ name: maglev, options: { ${options} } }`;
  expect(await carried("", maglev("key: host"))).toBe("connection");
  expect(await carried("", maglev("key: { header: x-user }"))).toBe("request");
  expect(await carried("", maglev("boundedLoad: 1.5"))).toBe("request");
});

describe("interfaces", () => {
  test("are a list, a single name or a word for all", async () => {
    const interfaces = async (value: string) =>
      (await load(lines({ more: `interfaces: ${value}` }))).config.interfaces;
    expect(await interfaces("eth0")).toEqual(["eth0"]);
    expect(await interfaces("auto")).toBe("auto");
    expect(await interfaces("[auto]")).toBe("auto");
  });

  test("and a route by connection are printed so that they load again", async () => {
    const text = more("engine: packet\ninterfaces: lo", "forward: connection");
    const { config } = await load(text);
    expect((await load(printConfig(config))).config).toEqual(config);
  });
});

describe("a warning names the place of", () => {
  const printed = async (text: string) => {
    const { warnings } = await load(text);
    return warnings.map((warning) => formatWarning(warning).replace(/^.*\//, ""));
  };
  const byConnection = "routes: [{ pool: web, forward: connection }]";
  const onlyPacket =
    "warning: only engine: packet or auto forwards by connection, so this stands for exchange";

  test("a route by connection without the engine for it", async () => {
    expect(await printed(lines({ routes: byConnection, more: "engine: pipe" }))).toEqual([
      `longsplice.yaml:2:32: ${onlyPacket}`,
    ]);
    const two = "routes: [{ pool: web, match: { path: /a } }, { pool: web }]";
    expect(await printed(lines({ routes: two, more: "engine: copy\nforward: connection" }))).toEqual([
      `longsplice.yaml:5:10: ${onlyPacket}`,
    ]);
    for (const more of ["engine: packet", "engine: auto", ""]) {
      expect(await printed(lines({ routes: byConnection, more }))).toEqual([]);
    }
  });

  test("nothing where a route asks for a cheaper mode than it can have: the planner says so", async () => {
    const routes = "routes: [{ pool: web, forward: connection, setRequestHeaders: { x: y } }]";
    expect(await printed(lines({ routes, more: "engine: packet\nforwarded: {}" }))).toEqual([]);
  });

  test("an interface that the packet engine would not find", async () => {
    const missing = (name: string) =>
      `warning: there is no interface "${name}" on this machine, only lo, eth0`;
    const several = lines({ more: "engine: packet\ninterfaces: [lo, eth1, wlan0]" });
    expect(await printed(several)).toEqual([
      `longsplice.yaml:5:18: ${missing("eth1")}`,
      `longsplice.yaml:5:24: ${missing("wlan0")}`,
    ]);
    const one = lines({ more: "engine: packet\ninterfaces: eth1" });
    expect(await printed(one)).toEqual([`longsplice.yaml:5:13: ${missing("eth1")}`]);
    for (const fine of ["engine: packet\ninterfaces: auto", "engine: packet", "interfaces: eth1"]) {
      expect(await printed(lines({ more: fine }))).toEqual([]);
    }
  });
});
