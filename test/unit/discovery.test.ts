import { rmSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { formatAddress } from "../../src/config/index.js";
import type { DiscoveryOptions } from "../../src/discovery/discovery.js";
import { Discovery, memberFileProblems } from "../../src/discovery/index.js";
import type { Lookup, ServiceRecord } from "../../src/discovery/lookup.js";
import { readerOf } from "../../src/discovery/sources.js";
import { PATIENCE_MS } from "../support/wait.js";
import { fileWith, lines, load } from "./config-support.js";

/** What the fake servers know; a name that is not there fails. */
const hosts = new Map<string, { hosts: string[]; ttl: number | undefined }>();
const services = new Map<string, ServiceRecord[]>();
let asked: string[] = [];
let log: [level: string, message: string][] = [];
let changes = 0;
/** Throws what speaks against a change. */
let admit: DiscoveryOptions["admit"];
let closed = 0;
let discovery: Discovery;

const failure = (code: string) => Promise.reject(Object.assign(new Error(code), { code }));
const lookup: Lookup = {
  addresses: (name) => {
    asked.push(name);
    const found = hosts.get(name);
    return found === undefined ? failure("ESERVFAIL") : Promise.resolve(found);
  },
  services: (name) => {
    const found = services.get(name);
    return found === undefined ? failure("ENOTFOUND") : Promise.resolve(found);
  },
  close: () => closed++,
};

const configWith = async (pool: string, more = "") =>
  (await load(lines({ pools: `pools: { web: ${pool} }`, more }))).config;

/** The backends of the pool now: address, weight and labels. */
function backends(config: Awaited<ReturnType<typeof configWith>>) {
  return discovery
    .complete(config)
    .pools.get("web")!
    .backends.map(({ address, weight, labels }) => ({ address: formatAddress(address), weight, labels }));
}

const addresses = (config: Awaited<ReturnType<typeof configWith>>) =>
  backends(config).map(({ address }) => address);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  hosts.clear();
  services.clear();
  asked = [];
  log = [];
  changes = 0;
  admit = () => {};
  closed = 0;
  const note = (level: string) => (_: unknown, message?: string) => void log.push([level, message ?? ""]);
  discovery = new Discovery({
    logger: { warn: note("warn"), info: note("info") } as never,
    admit: (...change) => admit(...change),
    onChange: () => changes++,
    lookup: () => lookup,
    random: () => 0.5,
  });
});

afterEach(() => {
  discovery.close();
  vi.useRealTimers();
});

describe("a name in DNS", () => {
  const pool =
    "{ backends: [{ address: 10.0.0.9:80 }], discover: [{ dns: app.test:80, interval: 5s, weight: 4, labels: { zone: a } }] }";

  it("stands for a backend at each address, beside those of the configuration", async () => {
    const config = await configWith(pool);
    hosts.set("app.test", { hosts: ["10.0.0.2", "10.0.0.1", "fd00::1", "10.0.0.9"], ttl: 1 });
    await discovery.prepare(config);
    expect(backends(config)).toEqual([
      { address: "10.0.0.9:80", weight: 1, labels: {} },
      { address: "10.0.0.1:80", weight: 4, labels: { zone: "a" } },
      { address: "10.0.0.2:80", weight: 4, labels: { zone: "a" } },
      { address: "[fd00::1]:80", weight: 4, labels: { zone: "a" } },
    ]);
  });

  it.each([
    ["0, so that the interval counts", 0, 5],
    ["shorter than the interval", 2, 5],
    ["longer", 60, 60],
    ["of years", 2 ** 31, 3600],
    ["that nobody says", undefined, 5],
  ])("is asked again after its TTL and some jitter: %s", async (_, ttl, seconds) => {
    const config = await configWith(pool);
    hosts.set("app.test", { hosts: ["10.0.0.1"], ttl });
    await discovery.prepare(config);
    await vi.advanceTimersByTimeAsync(seconds * 1000 * 1.05 - 1);
    expect(asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked).toHaveLength(2);
  });

  it("is not asked all the time if the interval is as long as can be", async () => {
    const config = await configWith(pool.replace("5s", "24d"));
    hosts.set("app.test", { hosts: ["10.0.0.1"], ttl: 0 });
    await discovery.prepare(config);
    await vi.advanceTimersByTimeAsync(24 * 86_400_000);
    expect(asked).toHaveLength(1);
  });

  it("changes backends only if the addresses are others, not if they are turned around", async () => {
    const config = await configWith(pool);
    hosts.set("app.test", { hosts: ["10.0.0.1", "10.0.0.2"], ttl: 0 });
    await discovery.prepare(config);
    expect(changes).toBe(1);
    hosts.set("app.test", { hosts: ["10.0.0.2", "10.0.0.1"], ttl: 0 });
    await vi.advanceTimersByTimeAsync(6000);
    expect(changes).toBe(1);
    hosts.set("app.test", { hosts: ["10.0.0.2", "10.0.0.3"], ttl: 0 });
    await vi.advanceTimersByTimeAsync(6000);
    expect(changes).toBe(2);
    expect(addresses(config)).toEqual(["10.0.0.9:80", "10.0.0.2:80", "10.0.0.3:80"]);
  });

  it("keeps what it said last while look-ups fail, and says so once", async () => {
    const config = await configWith(pool);
    hosts.set("app.test", { hosts: ["10.0.0.1"], ttl: 0 });
    await discovery.prepare(config);
    hosts.clear();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(addresses(config)).toEqual(["10.0.0.9:80", "10.0.0.1:80"]);
    expect(log.filter(([level]) => level === "warn")).toHaveLength(1);
    hosts.set("app.test", { hosts: ["10.0.0.1"], ttl: 0 });
    await vi.advanceTimersByTimeAsync(6000);
    expect(log.at(-1)).toEqual(["info", "discovery works again"]);
    const counts = Object.fromEntries(discovery.counts().map(({ result, count }) => [result, count]));
    expect(counts).toEqual({ changed: 1, same: 1, failed: 3 });
  });

  it("keeps what it said last while its pool cannot have what it says, and tries that again", async () => {
    const config = await configWith(pool);
    hosts.set("app.test", { hosts: ["10.0.0.1"], ttl: 0 });
    await discovery.prepare(config);
    let tried: unknown;
    admit = (next, pools) => {
      tried = pools.map(({ name, backends }) => [name, backends.length, next.pools.get(name)?.backends]);
      throw new Error("no");
    };
    hosts.set("app.test", { hosts: ["10.0.0.2", "10.0.0.3"], ttl: 0 });
    await vi.advanceTimersByTimeAsync(12_000);
    expect(tried).toMatchObject([["web", 3, [{}, {}, {}]]]);
    expect([addresses(config), changes]).toEqual([["10.0.0.9:80", "10.0.0.1:80"], 1]);
    expect(log.map(([level]) => level)).toEqual(["warn"]);
    expect(discovery.counts().find(({ result }) => result === "failed")!.count).toBe(2);
    admit = () => {};
    await vi.advanceTimersByTimeAsync(6000);
    expect([addresses(config).length, changes]).toEqual([3, 2]);
  });

  it("that is not known at the start begins with no backend, and is asked again", async () => {
    const config = await configWith("{ discover: [{ dns: app.test:80 }] }");
    await discovery.prepare(config);
    expect(addresses(config)).toEqual([]);
    hosts.set("app.test", { hosts: ["10.0.0.1"], ttl: 0 });
    await vi.advanceTimersByTimeAsync(2100);
    expect(addresses(config)).toEqual(["10.0.0.1:80"]);
  });
});

describe("SRV records", () => {
  const pool = "{ discover: [{ srv: _http._tcp.app.test, labels: { zone: a } }] }";
  const at = (name: string, priority: number, weight: number) => ({ name, port: 8080, priority, weight });

  it("give weights, and those of the best priority the traffic", async () => {
    const config = await configWith(pool);
    services.set("_http._tcp.app.test", [at("c.test", 20, 9), at("a.test", 10, 5), at("b.test", 10, 0)]);
    hosts.set("a.test", { hosts: ["10.0.0.1", "10.0.0.2"], ttl: 0 });
    hosts.set("b.test", { hosts: ["10.0.0.3"], ttl: 0 });
    hosts.set("c.test", { hosts: ["10.0.0.4"], ttl: 0 });
    await discovery.prepare(config);
    const best = { zone: "a", priority: "0" };
    expect(backends(config)).toEqual([
      { address: "10.0.0.1:8080", weight: 5, labels: best },
      { address: "10.0.0.2:8080", weight: 5, labels: best },
      { address: "10.0.0.3:8080", weight: 1, labels: best },
      { address: "10.0.0.4:8080", weight: 0, labels: { zone: "a", priority: "1" } },
    ]);
  });

  it("keep the addresses of a target that cannot be looked up for a moment", async () => {
    const config = await configWith(pool);
    services.set("_http._tcp.app.test", [at("a.test", 1, 1)]);
    hosts.set("a.test", { hosts: ["10.0.0.1"], ttl: 0 });
    await discovery.prepare(config);
    hosts.set("b.test", { hosts: ["10.0.0.2"], ttl: 0 });
    hosts.delete("a.test");
    services.set("_http._tcp.app.test", [at("a.test", 1, 1), at("b.test", 1, 1)]);
    await vi.advanceTimersByTimeAsync(2200);
    expect(addresses(config)).toEqual(["10.0.0.1:8080", "10.0.0.2:8080"]);
  });
});

describe("SRV records that do not tell all", () => {
  const pool = "{ discover: [{ srv: _http._tcp.app.test }] }";
  const at = (name: string, priority = 1, weight = 1) => ({ name, port: 8080, priority, weight });
  const warnings = () => log.filter(([level]) => level === "warn");

  it("leave out a target whose address was never known, and say so once", async () => {
    const config = await configWith(pool);
    services.set("_http._tcp.app.test", [at("a.test"), at("b.test")]);
    hosts.set("b.test", { hosts: ["10.0.0.2"], ttl: 0 });
    await discovery.prepare(config);
    expect(addresses(config)).toEqual(["10.0.0.2:8080"]);
    await vi.advanceTimersByTimeAsync(2200);
    expect(warnings()).toEqual([["warn", "targets without a known address are left out"]]);
    hosts.set("a.test", { hosts: ["10.0.0.1"], ttl: 0 });
    await vi.advanceTimersByTimeAsync(2200);
    expect(addresses(config)).toEqual(["10.0.0.1:8080", "10.0.0.2:8080"]);
  });

  it("are no answer where no target has an address", async () => {
    const config = await configWith(pool);
    services.set("_http._tcp.app.test", [at("a.test")]);
    hosts.set("a.test", { hosts: ["10.0.0.1"], ttl: 0 });
    await discovery.prepare(config);
    services.set("_http._tcp.app.test", [at("b.test")]);
    await vi.advanceTimersByTimeAsync(2200);
    expect(addresses(config)).toEqual(["10.0.0.1:8080"]);
    expect(discovery.counts().find(({ result }) => result === "failed")!.count).toBe(1);
  });

  it("count without those of port 0, which is none", async () => {
    const config = await configWith(pool);
    services.set("_http._tcp.app.test", [{ ...at("a.test", 1), port: 0 }, at("b.test", 2, 5)]);
    for (const name of ["a.test", "b.test"]) hosts.set(name, { hosts: ["10.0.0.1"], ttl: 0 });
    await discovery.prepare(config);
    expect(backends(config)).toEqual([{ address: "10.0.0.1:8080", weight: 5, labels: { priority: "0" } }]);
    services.set("_http._tcp.app.test", [{ ...at("a.test", 1), port: 0 }]);
    await vi.advanceTimersByTimeAsync(2200);
    expect(addresses(config)).toEqual(["10.0.0.1:8080"]);
  });

  it("leave the backends as they were where the service is said not to be there", async () => {
    const config = await configWith(pool);
    services.set("_http._tcp.app.test", [at("a.test")]);
    hosts.set("a.test", { hosts: ["10.0.0.1"], ttl: 0 });
    await discovery.prepare(config);
    asked = [];
    services.set("_http._tcp.app.test", [at("")]);
    await vi.advanceTimersByTimeAsync(2200);
    expect([addresses(config), asked]).toEqual([["10.0.0.1:8080"], []]);
    expect(discovery.counts().find(({ result }) => result === "failed")!.count).toBe(1);
  });

  it("mean the same in any order, also where two targets have one address", async () => {
    const config = await configWith(pool);
    for (const name of ["a.test", "b.test", "c.test"]) hosts.set(name, { hosts: ["10.0.0.1"], ttl: 0 });
    const records = [at("a.test", 20, 9), at("b.test", 10, 2), at("c.test", 10, 7)];
    services.set("_http._tcp.app.test", records);
    await discovery.prepare(config);
    const best = [{ address: "10.0.0.1:8080", weight: 7, labels: { priority: "0" } }];
    expect(backends(config)).toEqual(best);
    services.set("_http._tcp.app.test", [...records].reverse());
    await vi.advanceTimersByTimeAsync(2200);
    expect([backends(config), changes]).toEqual([best, 1]);
  });
});

describe("a file", () => {
  it("is parsed only when it has changed", async () => {
    const file = fileWith("- { address: 10.0.0.1:80 }", "list.yaml");
    const config = await configWith(`{ discover: [{ file: "${file}" }] }`);
    const reader = readerOf(config.pools.get("web")!.discover[0]!, lookup);
    const { backends: first } = await reader();
    expect((await reader()).backends).toBe(first);
    writeFileSync(file, "- { address: 10.0.0.2:80 }");
    expect((await reader()).backends).toMatchObject([{ address: { host: "10.0.0.2" } }]);
  });

  const read = async () => {
    await vi.advanceTimersByTimeAsync(2200);
    // Reading is done by threads, not by timers.
    await new Promise((resolve) => setImmediate(() => setImmediate(() => setImmediate(resolve))));
  };

  it("is read again, and may be empty on purpose but not by accident", async () => {
    const file = fileWith(
      "- { address: 10.0.0.1:80, labels: { zone: b } }\n- address: unix:app.sock\n  weight: 7\n",
      "list.yaml",
    );
    const config = await configWith(
      `{ discover: [{ file: "${file}", weight: 3, labels: { zone: a, rack: r } }] }`,
    );
    await discovery.prepare(config);
    expect(backends(config)).toEqual([
      { address: "10.0.0.1:80", weight: 3, labels: { zone: "b", rack: "r" } },
      {
        address: `unix:${file.replace("list.yaml", "app.sock")}`,
        weight: 7,
        labels: { zone: "a", rack: "r" },
      },
    ]);
    writeFileSync(file, '[{"address": "10.0.0.2:80"}]');
    await vi.waitFor(async () => {
      await read();
      expect(addresses(config)).toEqual(["10.0.0.2:80"]);
    }, PATIENCE_MS);
    const wrong = ["", "- { adress: 10.0.0.3:80 }", "- { address: name.test:80 }", "]"];
    for (const text of wrong) {
      writeFileSync(file, text);
      const before = discovery.counts().find(({ result }) => result === "failed")!.count;
      await vi.waitFor(async () => {
        await read();
        expect(discovery.counts().find(({ result }) => result === "failed")!.count).toBeGreaterThan(before);
      }, PATIENCE_MS);
      expect(addresses(config)).toEqual(["10.0.0.2:80"]);
    }
    rmSync(file);
    await read();
    expect(addresses(config)).toEqual(["10.0.0.2:80"]);
    writeFileSync(file, "[]");
    await vi.waitFor(async () => {
      await read();
      expect(addresses(config)).toEqual([]);
    }, PATIENCE_MS);
  });
});

describe("another configuration", () => {
  it("goes on with the sources that stay, and forgets the others", async () => {
    const both = await configWith("{ discover: [{ dns: a.test:80 }, { dns: b.test:80 }] }");
    hosts.set("a.test", { hosts: ["10.0.0.1"], ttl: 0 });
    hosts.set("b.test", { hosts: ["10.0.0.2"], ttl: 0 });
    await discovery.prepare(both);
    hosts.clear();
    const one = await configWith("{ discover: [{ dns: a.test:80 }] }");
    await discovery.prepare(one);
    discovery.retain(one);
    expect(addresses(one)).toEqual(["10.0.0.1:80"]);
    expect(closed).toBe(1);
    asked = [];
    await vi.advanceTimersByTimeAsync(2200);
    expect(asked).toEqual(["a.test"]);
  });

  it("with another label begins with what the source said last", async () => {
    const before = await configWith("{ discover: [{ dns: a.test:80 }] }");
    hosts.set("a.test", { hosts: ["10.0.0.1"], ttl: 0 });
    await discovery.prepare(before);
    hosts.clear();
    const after = await configWith("{ discover: [{ dns: a.test:80, labels: { zone: a } }] }");
    await discovery.prepare(after);
    discovery.retain(after);
    expect(addresses(after)).toEqual(["10.0.0.1:80"]);
    hosts.set("a.test", { hosts: ["10.0.0.1"], ttl: 0 });
    await vi.advanceTimersByTimeAsync(2200);
    expect(backends(after)).toEqual([{ address: "10.0.0.1:80", weight: 1, labels: { zone: "a" } }]);
  });
});

describe("the end", () => {
  it("breaks look-ups off, and waits for no answer", async () => {
    const config = await configWith("{ discover: [{ dns: app.test:80 }] }");
    const silent = { ...lookup, addresses: () => new Promise<never>(() => {}) };
    const logger = { warn: () => {}, info: () => {} } as never;
    const ending = new Discovery({ logger, admit: () => {}, onChange: () => {}, lookup: () => silent });
    const prepared = ending.prepare(config);
    ending.close();
    await prepared;
    await ending.prepare(config);
    expect([closed, ending.counts(), vi.getTimerCount()]).toEqual([1, [], 0]);
  });
});

describe("the check of a configuration", () => {
  it("says what is wrong with the files, and looks up no names", async () => {
    const good = fileWith("[]", "list.yaml");
    const sources = `{ dns: a.test:80 }, { file: "${good}" }, { file: "${good}.not" }`;
    const problems = await memberFileProblems(await configWith(`{ discover: [${sources}] }`));
    expect(problems).toEqual([`a file of backends cannot be used: ${good}.not: ENOENT`]);
    expect(asked).toEqual([]);
  });
});
