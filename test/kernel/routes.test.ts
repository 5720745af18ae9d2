import { beforeAll, describe, expect, it } from "vitest";
import { buildHooksDriver, HooksDriver } from "../support/hooks-driver.js";
import { join, Namespace } from "../support/netns.js";
import { setSysctl } from "../support/packet-topology.js";
import { eventually } from "../support/wait.js";

beforeAll(buildHooksDriver, 120_000);

/** A host with two networks: `left` with a gateway behind it to 10.79.9.0/24, `right` without. */
async function makeHost() {
  const [host, left, right] = [new Namespace(), new Namespace(), new Namespace()];
  // Or link-local addresses would become valid a second or two later, which is a change as well.
  setSysctl(host, "net/ipv6/conf/default/accept_dad", 0);
  join(
    { in: host, name: "left", addresses: ["10.79.1.1/24", "fd79:1::1/64"] },
    { in: left, name: "uplink", addresses: ["10.79.1.2/24", "fd79:1::2/64"] },
  );
  join(
    { in: host, name: "right", addresses: ["10.79.2.1/24", "fd79:2::1/64"] },
    { in: right, name: "uplink", addresses: ["10.79.2.2/24", "fd79:2::2/64"] },
  );
  // The kernel enters addresses of IPv6 when it notices that a line is up.
  const local = () => host.run("ip", ["-6", "route", "show", "table", "local"]);
  await eventually("addresses of IPv6", () =>
    ["fd79:1::1 ", "fd79:2::1 "].every((own) => local().includes(own)),
  );
  host.ip("route", "add", "10.79.9.0/24", "via", "10.79.1.2");
  host.ip("-6", "route", "add", "fd79:9::/64", "via", "fd79:1::2");
  host.ip("route", "add", "blackhole", "10.79.66.0/24");
  host.ip("route", "add", "unreachable", "10.79.67.0/24");
  host.ip("-6", "route", "add", "blackhole", "fd79:66::/64");
  host.ip("-6", "route", "add", "prohibit", "fd79:67::/64");
  return { host, driver: await HooksDriver.start(host) };
}

describe("the interface by which packets leave", () => {
  it("is lo for addresses of this host", async () => {
    const { driver } = await makeHost();
    expect(await driver.ask("route 127.0.0.1 127.0.0.1")).toBe("lo");
    expect(await driver.ask("route 127.0.0.1 127.77.0.1")).toBe("lo");
    expect(await driver.ask("route 10.79.1.1 10.79.1.1")).toBe("lo");
    expect(await driver.ask("route 10.79.2.1 10.79.1.1")).toBe("lo");
    expect(await driver.ask("route ::ffff:10.79.2.1 ::ffff:10.79.1.1")).toBe("lo");
    expect(await driver.ask("route ::1 ::1")).toBe("lo");
    expect(await driver.ask("route fd79:2::1 fd79:1::1")).toBe("lo");
  });

  it("is that of the network or of the gateway to it", async () => {
    const { driver } = await makeHost();
    expect(await driver.ask("route 10.79.1.1 10.79.1.2")).toBe("left");
    expect(await driver.ask("route 10.79.2.1 10.79.2.2")).toBe("right");
    expect(await driver.ask("route 10.79.1.1 10.79.9.200")).toBe("left");
    expect(await driver.ask("route 0.0.0.0 10.79.9.200")).toBe("left");
    expect(await driver.ask("route ::ffff:10.79.2.1 ::ffff:10.79.2.2")).toBe("right");
    expect(await driver.ask("route fd79:1::1 fd79:1::2")).toBe("left");
    expect(await driver.ask("route fd79:1::1 fd79:9::200")).toBe("left");
    expect(await driver.ask("route :: fd79:2::2")).toBe("right");
  });

  it("is the one that the scope of a link-local address names, or lo for the own one", async () => {
    const { host, driver } = await makeHost();
    host.ip("address", "add", "fe80::77/64", "dev", "right", "nodad");
    expect(await driver.ask("route fe80::77%right fe80::1%right")).toBe("right");
    expect(await driver.ask("route fe80::77%left fe80::1%left")).toBe("left");
    expect(await driver.ask("route fe80::77%right fe80::77%right")).toBe("lo");
  });

  it("is none where there is no route, or one that leads nowhere", async () => {
    const { driver } = await makeHost();
    for (const [from, to] of [
      ["10.79.1.1", "192.0.2.1"],
      ["10.79.1.1", "10.79.66.1"],
      ["10.79.1.1", "10.79.67.1"],
      ["10.79.1.1", "10.79.1.255"],
      ["10.79.1.1", "224.0.0.1"],
      ["fd79:1::1", "2001:db8::1"],
      ["fd79:1::1", "fd79:66::1"],
      ["fd79:1::1", "fd79:67::1"],
    ]) {
      expect(await driver.ask(`route ${from} ${to}`), to).toBe("none");
    }
  });

  it("depends on the own address where the rules say so", async () => {
    const { host, driver } = await makeHost();
    host.ip("rule", "add", "from", "10.79.2.1", "table", "79");
    host.ip("route", "add", "10.79.9.0/24", "via", "10.79.2.2", "table", "79");
    expect(await driver.ask("route 10.79.1.1 10.79.9.200")).toBe("left");
    expect(await driver.ask("route 10.79.2.1 10.79.9.200")).toBe("right");
  });

  it("is asked for anew after a change, and there is one to hear of only once", async () => {
    const { host, driver } = await makeHost();
    expect(await driver.ask("changed")).toBe("no");
    expect(await driver.ask("route 10.79.1.1 10.79.9.200")).toBe("left");
    const changes: string[][] = [
      ["route", "replace", "10.79.9.0/24", "via", "10.79.2.2"],
      ["rule", "add", "from", "10.79.5.0/24", "table", "79"],
      ["address", "add", "10.79.3.1/24", "dev", "left"],
      ["-6", "address", "add", "fd79:3::1/64", "dev", "left", "nodad"],
      ["-6", "route", "add", "fd79:8::/64", "via", "fd79:1::2"],
      ["link", "set", "left", "mtu", "1400"],
    ];
    for (const change of changes) {
      host.ip(...change);
      expect(await driver.ask("changed"), change.join(" ")).toBe("yes");
      expect(await driver.ask("changed")).toBe("no");
      expect(await driver.ask("route 10.79.1.1 10.79.9.200")).toBe("right");
    }
    expect(await driver.ask("interfaces")).toMatch(/ left#\d+,up,ethernet,mtu=1400/);
  });

  it("is heard of also when more has changed than the kernel keeps", async () => {
    const { host, driver } = await makeHost();
    expect(await driver.ask("route 10.79.1.1 10.79.9.200")).toBe("left");
    const routes = Array.from(
      { length: 4000 },
      (_, i) => `route add 10.80.${i >> 8}.${i & 255} via 10.79.1.2`,
    );
    host.run("ip", ["-batch", "-"], [...routes, "route del 10.79.9.0/24"].join("\n"));
    expect(await driver.ask("changed")).toBe("yes");
    expect(await driver.ask("changed")).toBe("no");
    expect(await driver.ask("route 10.79.1.1 10.79.9.200")).toBe("none");
  });
});
