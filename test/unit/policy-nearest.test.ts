import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { nearest } from "../../policies/nearest/index.js";
import {
  type FakeBackend,
  type FakeCandidates,
  fakeCandidates,
  fakeContext,
  fakeEnv,
  fakeHead,
  type Policy,
} from "../../src/policy/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";
import { writeMmdb } from "../support/mmdb.js";

const registry = new PolicyRegistry([nearest]);
const folder = mkdtempSync(join(tmpdir(), "longsplice-nearest-"));
afterAll(() => rmSync(folder, { recursive: true }));
const database = join(folder, "city.mmdb");
writeFileSync(
  database,
  writeMmdb([
    ["192.0.2.0/26", { country: { iso_code: "DE" }, continent: { code: "EU" } }],
    ["192.0.2.64/26", { country: { iso_code: "US" }, continent: { code: "NA" } }],
    // Reykjavik, Auckland
    ["192.0.2.128/26", { country: { iso_code: "IS" }, location: { latitude: 64.1, longitude: -21.9 } }],
    ["192.0.2.192/26", { country: { iso_code: "NZ" }, location: { latitude: -36.8, longitude: 174.8 } }],
  ]),
);

const fakes: readonly FakeBackend[] = [
  { address: "eu1", labels: { zone: "eu" } },
  { address: "eu2", labels: { zone: "eu" } },
  { address: "us1", labels: { zone: "us" } },
  { address: "asia1", labels: { zone: "asia" } },
  { address: "spare" },
];
const places = { eu: [50.1, 8.7], us: [39.0, -77.5], asia: [1.35, 103.8] };
const zones = {
  eu: { networks: ["10.1.0.0/16"], at: places.eu },
  us: { networks: ["10.2.0.0/16"], at: places.us },
  asia: { networks: ["10.3.0.0/16", "2001:db8::/32"], at: places.asia },
};

function make(options: object, backends: readonly FakeBackend[] = fakes): Policy {
  const env = fakeEnv({ backends: fakeCandidates(backends).backends });
  return registry.createChain([{ name: "nearest", options }], env);
}

async function left(
  policy: Policy,
  clientAddress: string,
  candidates = fakeCandidates(fakes),
): Promise<string> {
  candidates.reset();
  await policy.select(fakeHead(), candidates, fakeContext({ clientAddress }));
  return candidates.addresses().join(" ");
}

/** In which order zones are used for a client, by taking one after the other away. */
async function order(policy: Policy, clientAddress: string): Promise<string[]> {
  const candidates = fakeCandidates(fakes);
  const out: string[] = [];
  for (;;) {
    const now = await left(policy, clientAddress, candidates);
    if (now === "") return out;
    out.push(now);
    for (const address of now.split(" ")) candidates.set(address, { eligible: false });
  }
}

describe("nearest", () => {
  it("narrows to the zone of the client's network", async () => {
    const policy = make({ zones });
    expect(await left(policy, "10.1.2.3")).toBe("eu1 eu2");
    expect(await left(policy, "10.2.2.3")).toBe("us1");
    expect(await left(policy, "2001:db8::7")).toBe("asia1");
    expect(await left(policy, "::ffff:10.3.0.1")).toBe("asia1");
  });

  it("does not narrow for clients of whom nothing says where they are", async () => {
    const policy = make({ zones });
    for (const address of ["192.0.2.1", "::1", ""]) {
      expect(await left(policy, address)).toBe("eu1 eu2 us1 asia1 spare");
    }
  });

  it("goes on with the next zone by the great circle, and with backends of no zone at last", async () => {
    const policy = make({ zones });
    expect(await order(policy, "10.1.0.1")).toEqual(["eu1 eu2", "us1", "asia1", "spare"]);
    expect(await order(policy, "10.2.0.1")).toEqual(["us1", "eu1 eu2", "asia1", "spare"]);
    expect(await order(policy, "10.3.0.1")).toEqual(["asia1", "eu1 eu2", "us1", "spare"]);
  });

  it("goes on as a zone says, wherever the others are", async () => {
    const policy = make({ zones: { ...zones, eu: { ...zones.eu, next: ["asia"] } } });
    expect(await order(policy, "10.1.0.1")).toEqual(["eu1 eu2", "asia1", "us1", "spare"]);
    const unplaced = make({ zones: { asia: {}, us: {}, eu: { networks: ["10.1.0.0/16"] } } });
    expect(await order(unplaced, "10.1.0.1")).toEqual(["eu1 eu2", "asia1", "us1", "spare"]);
  });

  it("finds clients by country, continent and coordinates; networks and countries come first", async () => {
    const policy = make({
      database,
      zones: {
        eu: { countries: ["DE"], at: places.eu },
        us: { continents: ["NA", "EU"], networks: ["192.0.2.10"], at: places.us },
        asia: { at: places.asia },
      },
    });
    expect(await left(policy, "192.0.2.1")).toBe("eu1 eu2");
    expect(await left(policy, "192.0.2.10")).toBe("us1");
    expect(await left(policy, "192.0.2.65")).toBe("us1");
    expect(await left(policy, "192.0.2.129")).toBe("eu1 eu2");
    expect(await left(policy, "192.0.2.193")).toBe("asia1");
    expect(await left(policy, "203.0.113.1")).toBe("eu1 eu2 us1 asia1 spare");
  });

  it("spills over when the near zone has more to do than it should, and comes back", async () => {
    const policy = make({ zones, spillAbove: 10 });
    const candidates = fakeCandidates(fakes);
    const now = () => left(policy, "10.1.0.1", candidates);
    candidates.set("eu1", { active: 19 });
    expect(await now()).toBe("eu1 eu2");
    candidates.set("eu2", { active: 1 });
    expect(await now()).toBe("us1");
    candidates.set("us1", { active: 10 });
    expect(await now()).toBe("asia1");
    candidates.set("eu1", { active: 18 });
    expect(await now()).toBe("eu1 eu2");
  });

  it("lets the next policy choose among all when every zone has too much to do", async () => {
    const policy = make({ zones, spillAbove: 1 });
    const candidates = fakeCandidates(fakes);
    for (const { address } of fakes) candidates.set(address, { active: 5 });
    expect(await left(policy, "10.1.0.1", candidates)).toBe("eu1 eu2 us1 asia1 spare");
  });

  it("measures load by weight: a backend that is to get half as much counts for half a one", async () => {
    const weighted = [
      { address: "eu1", weight: 50, labels: { zone: "eu" } },
      { address: "us1", weight: 100, labels: { zone: "us" } },
    ];
    const policy = make({ zones, spillAbove: 10 }, weighted);
    const candidates: FakeCandidates = fakeCandidates(weighted);
    candidates.set("eu1", { active: 4 });
    expect(await left(policy, "10.1.0.1", candidates)).toBe("eu1");
    candidates.set("eu1", { active: 5 });
    expect(await left(policy, "10.1.0.1", candidates)).toBe("us1");
  });

  it("passes over a zone of which every backend has weight 0, unless all have", async () => {
    const policy = make({ zones });
    const candidates = fakeCandidates(fakes);
    for (const address of ["eu1", "eu2"]) candidates.set(address, { weight: 0 });
    expect(await left(policy, "10.1.0.1", candidates)).toBe("us1");
    for (const { address } of fakes) candidates.set(address, { weight: 0 });
    expect(await left(policy, "10.1.0.1", candidates)).toBe("eu1 eu2");
  });

  it("takes the zones of backends from another label, and refuses zones that there are not", async () => {
    const own = [
      { address: "a", labels: { region: "eu" } },
      { address: "b", labels: { region: "us" } },
    ];
    expect(await left(make({ zones, label: "region" }, own), "10.2.0.1", fakeCandidates(own))).toBe("b");
    expect(() => make({ zones: { eu: {} } })).toThrow(/"zone" of us1 names "us", the zones are eu/);
  });

  it.each([
    [undefined, /options/],
    [{ zones: {} }, /zones: no zone/],
    [{ zones: { eu: { networks: ["10.0.0.0/99"] } } }, /zones\.eu\.networks\.0: expected a range/],
    [
      { zones: { eu: { networks: ["::/0"] }, us: { networks: ["::/0"] } } },
      /zones\.us\.networks: ::\/0 is in eu already/,
    ],
    [{ zones: { eu: { countries: ["DE"] } } }, /zones\.eu\.countries: needs a database/],
    [{ zones: { eu: { countries: ["de"] } } }, /zones\.eu\.countries\.0/],
    [{ zones: { eu: { next: ["mars"] } } }, /zones\.eu\.next: there is no zone mars/],
    [{ zones: { eu: { at: [91, 0] } } }, /zones\.eu\.at\.0/],
    [{ zones, database: "geo.mmdb" }, /database: geo\.mmdb is not an absolute path/],
    [
      { zones, database: "/nowhere/geo.mmdb" },
      /database: a location database cannot be used: \/nowhere\/geo\.mmdb/,
    ],
    [{ zones, spillAbove: 0 }, /spillAbove/],
  ])("refuses %j", (options, message) => {
    expect(() => make(options as object)).toThrow(message);
  });

  it("chooses by client: alone requests may pass, before a policy that chooses by target each is looked at", () => {
    expect(registry.traitsOf([{ name: "nearest", options: { zones } }]).choosesBy).toBe("load");
  });
});
