import { beforeAll, describe, expect, it } from "vitest";
import {
  buildHooksDriver,
  childrenOf,
  HooksDriver,
  hookQdiscs,
  type Kind,
  programsOn,
  runs,
} from "../support/hooks-driver.js";
import { Namespace } from "../support/netns.js";
import { eventually } from "../support/wait.js";

beforeAll(buildHooksDriver, 120_000);

const LOOPBACK = ["egress:loopback_egress"];
const OUTER = ["ingress:outer_ingress", "egress:outer_egress"];
/** How soon after a crash nothing may be left: at once, as far as a busy machine does anything at once. */
const CLEAN_MS = 15_000;

/** A namespace with `first` and `second`, two Ethernet interfaces that are up. */
function makeSpace(): Namespace {
  const space = new Namespace();
  addPair(space, "first", "second");
  return space;
}

function addPair(space: Namespace, a: string, b: string): void {
  space.ip("link", "add", a, "type", "veth", "peer", "name", b);
  for (const name of [a, b]) space.ip("link", "set", name, "up");
}

/** The names in an answer, in a fixed order. */
const sorted = (answer: string) => answer.split(" ").sort();

async function untilClean(space: Namespace, kind: Kind, names: readonly string[]): Promise<void> {
  await eventually(
    "nothing attached",
    () =>
      names.every(
        (name) => programsOn(space, kind, name).length === 0 && hookQdiscs(space, name).length === 0,
      ),
    CLEAN_MS,
  );
}

describe.each<Kind>(["tcx", "clsact"])("hooks by %s", (kind) => {
  it("are on lo and on every Ethernet interface that is up and no port", async () => {
    const space = makeSpace();
    addPair(space, "port", "host");
    space.ip("link", "add", "bridge", "type", "bridge");
    space.ip("link", "set", "port", "master", "bridge");
    space.ip("link", "set", "bridge", "up");
    space.ip("link", "set", "second", "down");
    space.ip("tuntap", "add", "tunnel", "mode", "tun");
    space.ip("link", "set", "tunnel", "up");
    const driver = await HooksDriver.start(space, kind);
    expect(await driver.ask("sync")).toBe("");
    expect(await driver.ask("kind")).toBe(kind);
    expect(sorted(await driver.ask("names"))).toEqual(["bridge", "first", "host", "lo"]);
    expect(programsOn(space, kind, "lo")).toEqual(LOOPBACK);
    for (const name of ["bridge", "first", "host"]) expect(programsOn(space, kind, name)).toEqual(OUTER);
    for (const name of ["port", "second", "tunnel"]) {
      expect(programsOn(space, kind, name)).toEqual([]);
      expect(await driver.ask(`attached ${name}`)).toBe("no");
    }
    expect(await driver.ask("attached first")).toBe("yes");
  });

  it("follow interfaces that come, go, go down or become ports", async () => {
    const space = makeSpace();
    const driver = await HooksDriver.start(space, kind);
    await driver.ask("sync");
    addPair(space, "third", "fourth");
    expect(await driver.ask("sync")).toBe("");
    expect(sorted(await driver.ask("names"))).toEqual(["first", "fourth", "lo", "second", "third"]);
    expect(programsOn(space, kind, "third")).toEqual(OUTER);

    space.ip("link", "del", "third");
    space.ip("link", "set", "second", "down");
    expect(await driver.ask("sync")).toBe("");
    expect(sorted(await driver.ask("names"))).toEqual(["first", "lo", "second"]);
    expect(programsOn(space, kind, "second")).toEqual(OUTER);

    space.ip("link", "add", "bridge", "type", "bridge");
    space.ip("link", "set", "second", "master", "bridge");
    expect(await driver.ask("sync")).toBe("");
    expect(sorted(await driver.ask("names"))).toEqual(["first", "lo"]);
    await untilClean(space, kind, ["second"]);
  });

  it("are on named interfaces only, where names are given", async () => {
    const space = makeSpace();
    space.ip("tuntap", "add", "tunnel", "mode", "tun");
    const driver = await HooksDriver.start(space, kind);
    expect(await driver.ask("sync second")).toBe("");
    expect(await driver.ask("names")).toBe("second");
    const missing = await driver.ask("sync lo nowhere first");
    expect(missing).toMatch(/^there is no interface nowhere, only lo /);
    for (const name of ["first", "second", "tunnel"]) expect(missing.split(" ")).toContain(name);
    expect(await driver.ask("sync lo first tunnel")).toBe("tunnel is not an Ethernet interface");
    expect(sorted(await driver.ask("names"))).toEqual(["first", "lo"]);
    expect(programsOn(space, kind, "lo")).toEqual(LOOPBACK);
    await untilClean(space, kind, ["second"]);
  });

  it("are gone when the process ends, in order or by kill -9, and those of another process are not", async () => {
    const space = makeSpace();
    const names = ["lo", "first", "second"];
    const neighbour = await HooksDriver.start(space, kind);
    await neighbour.ask("sync first");
    for (const end of ["quit", "kill"] as const) {
      const driver = await HooksDriver.start(space, kind);
      expect(await driver.ask("sync")).toBe("");
      expect(programsOn(space, kind, "first")).toHaveLength(2 * OUTER.length);
      const guardians = childrenOf(driver.pid);
      expect(guardians).toHaveLength(kind === "tcx" ? 0 : 1);
      await driver[end]();
      await untilClean(space, kind, ["lo", "second"]);
      await eventually("only the neighbour's", () => programsOn(space, kind, "first").length === 2, CLEAN_MS);
      expect(programsOn(space, kind, "first")).toEqual(OUTER);
      await eventually("the guardian's end", () => !guardians.some(runs), CLEAN_MS);
    }
    // Whoever made the qdisc, the last one takes it along.
    const last = await HooksDriver.start(space, kind);
    await last.ask("sync first");
    await neighbour.quit();
    expect(programsOn(space, kind, "first")).toEqual(OUTER);
    await last.quit();
    await untilClean(space, kind, names);
  });
});

describe("hooks by clsact", () => {
  it("are what a kernel without tcx gets, unasked", async () => {
    const space = makeSpace();
    const driver = await HooksDriver.startWithoutTcx(space);
    expect(await driver.ask("sync")).toBe("");
    expect(await driver.ask("kind")).toBe("clsact");
    expect(programsOn(space, "clsact", "lo")).toEqual(LOOPBACK);
    expect(programsOn(space, "clsact", "first")).toEqual(OUTER);
  });

  it("leave the filters and the qdisc of others as they were", async () => {
    const space = makeSpace();
    const tc = (...args: string[]) => space.run("tc", args);
    tc("qdisc", "add", "dev", "first", "clsact");
    tc("qdisc", "add", "dev", "second", "clsact");
    for (const direction of ["ingress", "egress"]) {
      const match = [
        "prio",
        "7",
        "protocol",
        "ip",
        "u32",
        "match",
        "ip",
        "dport",
        "9",
        "0xffff",
        "flowid",
        "1:1",
      ];
      tc("filter", "add", "dev", "first", direction, ...match);
    }
    const everything = () =>
      ["first", "second"].map((name) => [
        tc("qdisc", "show", "dev", name),
        ...["ingress", "egress"].map((direction) => tc("filter", "show", "dev", name, direction)),
      ]);
    const before = everything();
    expect(before[0]![1]).toContain("pref 7 u32");
    for (const end of ["quit", "kill"] as const) {
      const driver = await HooksDriver.start(space, "clsact");
      expect(await driver.ask("sync")).toBe("");
      expect(programsOn(space, "clsact", "first")).toEqual(OUTER);
      expect(programsOn(space, "clsact", "second")).toEqual(OUTER);
      await driver[end]();
      await eventually("as before", () => JSON.stringify(everything()) === JSON.stringify(before), CLEAN_MS);
      expect(hookQdiscs(space, "lo")).toEqual([]);
    }
  });

  it("stay where somebody put a filter of his own into the qdisc that was made for them", async () => {
    const space = makeSpace();
    const driver = await HooksDriver.start(space, "clsact");
    await driver.ask("sync first second");
    space.run(
      "tc",
      "filter add dev first egress prio 7 protocol ip u32 match ip dport 9 0xffff flowid 1:1".split(" "),
    );
    await driver.quit();
    expect(hookQdiscs(space, "second")).toEqual([]);
    expect(hookQdiscs(space, "first")).toEqual(["clsact"]);
    expect(programsOn(space, "clsact", "first")).toEqual([]);
    expect(space.run("tc", ["filter", "show", "dev", "first", "egress"])).toContain("pref 7 u32");
  });

  it("of a process that was killed together with its guardian are removed by the next one", async () => {
    const space = makeSpace();
    const neighbour = await HooksDriver.start(space, "clsact");
    await neighbour.ask("sync first");
    const driver = await HooksDriver.start(space, "clsact");
    await driver.ask("sync");
    for (const guardian of childrenOf(driver.pid)) process.kill(guardian, "SIGKILL");
    await driver.kill();
    expect(programsOn(space, "clsact", "first")).toHaveLength(2 * OUTER.length);
    const next = await HooksDriver.start(space, "clsact");
    expect(await next.ask("sync lo")).toBe("");
    expect(programsOn(space, "clsact", "lo")).toEqual(LOOPBACK);
    expect(programsOn(space, "clsact", "second")).toEqual([]);
    // The neighbour lives.
    expect(programsOn(space, "clsact", "first")).toEqual(OUTER);
    await next.quit();
    await neighbour.quit();
    await untilClean(space, "clsact", ["lo", "first", "second"]);
  });

  it("do not go where the qdisc ingress is, which has no egress", async () => {
    const space = makeSpace();
    space.run("tc", ["qdisc", "add", "dev", "first", "ingress"]);
    const driver = await HooksDriver.start(space, "clsact");
    expect(await driver.ask("sync")).toMatch(/^cannot attach to first: EBUSY, .*qdisc ingress/);
    expect(sorted(await driver.ask("names"))).toEqual(["lo", "second"]);
    expect(programsOn(space, "clsact", "first")).toEqual([]);
    await driver.quit();
    expect(hookQdiscs(space, "first")).toEqual(["ingress"]);
  });

  it("are guarded by a process that survives the signals that end the other", async () => {
    const space = makeSpace();
    const driver = await HooksDriver.start(space, "clsact");
    await driver.ask("sync first");
    const [guardian] = childrenOf(driver.pid);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGUSR1"] as const) {
      process.kill(guardian!, signal);
    }
    expect(runs(guardian!)).toBe(true);
    await driver.kill();
    await untilClean(space, "clsact", ["first"]);
    await eventually("the guardian's end", () => !runs(guardian!), CLEAN_MS);
  });

  it("that may not be attached are refused with the capability that is missing", async () => {
    const space = makeSpace();
    const driver = await HooksDriver.start(space, "clsact");
    expect(await driver.ask("drop")).toBe("dropped");
    expect(await driver.ask("sync lo")).toMatch(/^cannot attach to lo: EPERM, needs .*CAP_NET_ADMIN/);
    expect(await driver.ask("names")).toBe("");
    expect(programsOn(space, "clsact", "lo")).toEqual([]);
  });
});
