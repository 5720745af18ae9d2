import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isLocal } from "../../src/config/address.js";
import { parseHostPattern, parsePathPattern, parseTemplate } from "../../src/config/http-text.js";
import { formatAddress, parseAddress } from "../../src/config/index.js";
import { nearest } from "../../src/config/nearest.js";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../src/config/units.js";

describe("an address", () => {
  test.each([
    ["127.0.0.1:80", "127.0.0.1:80"],
    [":80", "0.0.0.0:80"],
    ["[0:0::1]:80", "[::1]:80"],
    ["[2001:DB8::A]:65535", "[2001:db8::a]:65535"],
    ["LocalHost:0", "localhost:0"],
    ["my_app.svc-1.internal:9001", "my_app.svc-1.internal:9001"],
    ["unix:/run/a b.sock", "unix:/run/a b.sock"],
  ])("%s is %s", (text, canonical) => {
    expect(formatAddress(parseAddress(text))).toBe(canonical);
  });

  test.each([
    ["", "the port is missing"],
    ["host", "the port is missing"],
    ["host:", "the port is missing"],
    ["host:65536", "a port is a number"],
    ["host:8o", "a port is a number"],
    ["host:-1", "a port is a number"],
    ["::1:80", "an IPv6 address goes in brackets"],
    ["[::1]", "the port is missing"],
    ["[1.2.3.4]:80", "not an IPv6 address"],
    ["[fe80::1%eth0]:80", "zones"],
    ["1.2.3:80", "the IPv4 address is not complete"],
    ["256.1.1.1:80", "the IPv4 address is not complete"],
    ["0x7f.1:80", "the IPv4 address is not complete"],
    ["http://host:80", "no scheme"],
    ["a b:80", "neither an IP address nor a name"],
    ["-a:80", "neither an IP address nor a name"],
    ["a..b:80", "neither an IP address nor a name"],
    ["unix:", "the path is missing"],
    ["unix:/a\0b", "control characters"],
    ["unix:/a\r\nb: c", "control characters"],
    ["unix:/a\x7f", "control characters"],
  ])("%j is none: %s", (text, why) => {
    expect(() => parseAddress(text)).toThrow(why);
  });

  test("of a Unix socket has as many bytes as the kernel takes", () => {
    const longest = `unix:/${"x".repeat(106)}`;
    expect(formatAddress(parseAddress(longest))).toBe(longest);
    expect(() => parseAddress(`${longest}x`)).toThrow("at most 107 bytes");
  });

  test("that is printed reads as the same address", () => {
    const port = fc.integer({ min: 0, max: 65_535 });
    const host = fc.oneof(
      fc.ipV4(),
      fc.domain(),
      fc.ipV6().map((ip) => `[${ip}]`),
    );
    fc.assert(
      fc.property(host, port, (host, port) => {
        const address = parseAddress(`${host}:${port}`);
        expect(parseAddress(formatAddress(address))).toEqual(address);
      }),
    );
  });

  test.each([
    ["127.8.9.10:1", true],
    ["[::1]:1", true],
    ["[::ffff:127.0.0.1]:1", true],
    ["localhost:1", true],
    ["unix:/x", true],
    ["0.0.0.0:1", false],
    ["[::]:1", false],
    ["10.0.0.1:1", false],
    ["example.com:1", false],
  ])("%s is reachable on this machine only: %s", (text, local) => {
    expect(isLocal(parseAddress(text))).toBe(local);
  });
});

describe("a duration", () => {
  test.each([
    ["500ms", 500],
    ["10s", 10_000],
    ["1.1s", 1100],
    ["5 m", 300_000],
    ["1h", 3_600_000],
    ["24d", 2_073_600_000],
  ])("%s is %d ms", (text, ms) => {
    expect(parseDuration(text, 1)).toBe(ms);
  });

  test.each([10, "10", "10S", "-1s", "1s2", "1e3s", "", ".5s", null, {}, "0.5ms", "25d", "0s"])(
    "%j is none",
    (value) => {
      expect(() => parseDuration(value, 1)).toThrow("expected");
    },
  );

  test("that is printed reads as the same time", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2_073_600_000 }), (ms) => {
        expect(parseDuration(formatDuration(ms), 0)).toBe(ms);
      }),
    );
    expect([0, 1500, 60_000, 90_000, 86_400_000].map(formatDuration)).toEqual([
      "0ms",
      "1500ms",
      "1m",
      "90s",
      "1d",
    ]);
  });
});

describe("a size", () => {
  test.each([
    ["16KiB", 16_384],
    ["16kib", 16_384],
    ["1MB", 1_000_000],
    ["1.5 KB", 1500],
    ["512B", 512],
    ["512", 512],
    [512, 512],
  ])("%s is %d bytes", (text, bytes) => {
    expect(parseSize(text, 0, 2 ** 40)).toBe(bytes);
  });

  test.each(["16K", "KiB", "1.0001KiB", "-1", -1, 1.5, true, "1TB", null])("%j is none", (value) => {
    expect(() => parseSize(value, 0, 2 ** 40)).toThrow("expected");
  });

  test("that is printed reads as the same size", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (bytes) => {
        expect(parseSize(formatSize(bytes), 0, 2 ** 31)).toBe(bytes);
      }),
    );
    expect([0, 1000, 1024, 3 * 2 ** 20].map(formatSize)).toEqual(["0B", "1000B", "1KiB", "3MiB"]);
  });
});

test.each([
  ["Example.COM.", "example.com"],
  ["*.example.com", "*.example.com"],
  ["[::1]", "[::1]"],
  ["10.0.0.1", "10.0.0.1"],
])("the host pattern %s is compared as %s", (text, pattern) => {
  expect(parseHostPattern(text)).toBe(pattern);
});

test.each(["*", "a:80", "a.*", "*a.com", "", "a b", "a..b", "*."])("%j is no host pattern", (text) => {
  expect(() => parseHostPattern(text)).toThrow("expected");
});

test.each(["/", "/api/", "/a%20b", "/a%2Fb", "/.well-known/x", "/a..b"])("%s is a path", (text) => {
  expect(parsePathPattern(text)).toBe(text);
});

test.each(["", "api", "/a?b", "/a#b", "/a/*", "/a b", "/ä", "/%41", "/a/../b", "/a/."])(
  "%j is a path that no request has",
  (text) => {
    expect(() => parsePathPattern(text)).toThrow("expected");
  },
);

test("braces that hold no name of a variable are plain text", () => {
  for (const text of ["{}", "{ host }", '{"a": 1}', "{{host}}", "}{", "{host", "a\tb"]) {
    expect(parseTemplate(text)).toBe(text);
  }
});

describe("the nearest word", () => {
  const known = ["address", "backends", "policy", "path", "pathRegex"];
  test.each([
    ["adress", "address"],
    ["addrses", "address"],
    ["ADDRESS", "address"],
    ["backend", "backends"],
    ["pathregexp", "pathRegex"],
    ["pth", "path"],
    ["x", undefined],
    ["listeners", undefined],
  ])("of %s is %s", (word, expected) => {
    expect(nearest(word, known)).toBe(expected);
  });

  test("of an absurdly long word is found out at once", () => {
    expect(nearest("y".repeat(1_000_000), known)).toBeUndefined();
  });
});
