import { createSocket } from "node:dgram";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { createLookup } from "../../src/discovery/lookup.js";
import { DnsServer } from "../support/dns-server.js";

/** What stands for the servers of the system, and the names that it knows otherwise. */
const system = vi.hoisted(() => ({ server: "", hosts: new Map<string, string>(), asked: 0 }));
vi.mock("node:dns/promises", async (original) => {
  const real = await original<typeof import("node:dns/promises")>();
  class Resolver extends real.Resolver {
    constructor(options: object) {
      super(options);
      this.setServers([system.server]);
    }
  }
  const lookup = async (name: string) => {
    system.asked++;
    const address = system.hosts.get(name);
    if (address === undefined) throw new Error("the system does not know it either");
    return [{ address, family: 4 }];
  };
  return { ...real, Resolver, lookup };
});

let server: DnsServer;
beforeEach(async () => {
  server = await new DnsServer().start();
  Object.assign(system, { server: server.address, hosts: new Map(), asked: 0 });
});
afterEach(() => server.stop());

describe("a look-up", () => {
  it("asks the system for what its servers do not know", async () => {
    const lookup = createLookup([]);
    system.hosts.set("app.test", "10.0.0.1");
    expect(await lookup.addresses("app.test")).toEqual({ hosts: ["10.0.0.1"], ttl: undefined });
    await expect(lookup.addresses("not.test")).rejects.toMatchObject({ code: "ENOTFOUND" });
    const closed = await new DnsServer().start();
    system.server = closed.address;
    closed.stop();
    expect((await createLookup([]).addresses("app.test")).hosts).toEqual(["10.0.0.1"]);
  });

  it("does not ask the system when its servers fail, nor beside servers of the configuration", async () => {
    system.hosts.set("app.test", "10.0.0.1");
    const configured = createLookup([server.address]);
    await expect(configured.addresses("app.test")).rejects.toMatchObject({ code: "ENOTFOUND" });
    server.broken = true;
    await expect(createLookup([]).addresses("app.test")).rejects.toMatchObject({ code: "ESERVFAIL" });
    expect(system.asked).toBe(0);
  });

  it("is broken off when it is closed, and begins nothing after that", async () => {
    const silent = createSocket("udp4").bind(0, "127.0.0.1");
    await once(silent, "listening");
    onTestFinished(() => void silent.close());
    const lookup = createLookup([`127.0.0.1:${silent.address().port}`]);
    const pending = [lookup.addresses("app.test"), lookup.services("app.test")];
    const outcomes = Promise.allSettled(pending);
    await once(silent, "message");
    const started = performance.now();
    lookup.close();
    expect((await outcomes).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await expect(lookup.addresses("app.test")).rejects.toThrow();
    await expect(lookup.services("app.test")).rejects.toThrow();
    expect(performance.now() - started).toBeLessThan(4_000);
  });

  it("of a service that is not there names the root of all names as its target", async () => {
    server.services.set("_http._tcp.app.test", [{ priority: 0, weight: 0, port: 0, target: "" }]);
    const [record] = await createLookup([server.address]).services("_http._tcp.app.test");
    expect(record?.name).toBe("");
  });
});
