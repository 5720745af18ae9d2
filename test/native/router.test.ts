import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadAddon } from "../../src/dataplane/index.js";
import type { RouteSpec } from "../../src/routing/index.js";
import { nativePool, nativeRoute, nativeSnapshot } from "../support/native-snapshot.js";

const addon = loadAddon();

const snapshotOf = (matches: readonly RouteSpec["match"][]) =>
  nativeSnapshot(
    matches.map((match, index) => nativeRoute(index, match)),
    [nativePool("p")],
  );

const match = (
  routes: readonly RouteSpec["match"][],
  { method = "GET", host = "h", path = "/", headers = [] as [string, string][] },
) => addon.matchRoute(snapshotOf(routes), method, host, path, headers);

describe("matching a head against routes", () => {
  it("takes the first route whose every condition holds", () => {
    const routes = [{ host: "a.example", path: "/x/" }, { path: "/x/" }, { host: "a.example" }, {}];
    expect(match(routes, { host: "a.example", path: "/x/1" })).toBe(0);
    expect(match(routes, { host: "b.example", path: "/x/1" })).toBe(1);
    expect(match(routes, { host: "a.example", path: "/y" })).toBe(2);
    expect(match(routes, { host: "b.example", path: "/y" })).toBe(3);
  });

  it("finds none when none matches", () => {
    expect(match([{ method: ["POST"] }], { method: "GET" })).toBe(-1);
  });

  it.each([
    ["/api", "/api", true],
    ["/api", "/api/x", true],
    ["/api", "/apix", false],
    ["/api/", "/api", false],
    ["/api/", "/api/x", true],
    ["/", "/anything", true],
  ])("path %s on %s: %s", (path, requested, expected) => {
    expect(match([{ path }], { path: requested })).toBe(expected ? 0 : -1);
  });

  it.each([
    ["*.example.com", "a.example.com", true],
    ["*.example.com", "a.b.example.com", true],
    ["*.example.com", "example.com", false],
    ["*.example.com", "badexample.com", false],
    ["Example.com", "EXAMPLE.com:8080", true],
    ["example.com", "example.com.", true],
    ["[::1]", "[::1]:80", true],
  ])("host %s on %s: %s", (host, requested, expected) => {
    expect(match([{ host }], { host: requested })).toBe(expected ? 0 : -1);
  });

  it.each([
    ["/public/../admin/x", true],
    ["/public/%2e%2E/admin/x", true],
    ["/./admin/x", true],
    ["/%61dmin/x", true],
    ["/../../admin/x", true],
    ["/admin%2fx", false],
    ["/public/..admin/x", false],
  ])("reads %s as a backend would", (path, expected) => {
    expect(match([{ path: "/admin/" }], { path })).toBe(expected ? 0 : -1);
  });

  it("matches header values by pattern and any of several fields", () => {
    const routes = [{ header: { accept: "video/*" } }];
    expect(match(routes, { headers: [["Accept", "video/mp4"]] })).toBe(0);
    expect(
      match(routes, {
        headers: [
          ["Accept", "text/html"],
          ["accept", "video/webm"],
        ],
      }),
    ).toBe(0);
    expect(match(routes, { headers: [["Accept", "audio/mp3"]] })).toBe(-1);
    expect(match(routes, {})).toBe(-1);
  });

  it("finds a regular expression anywhere in the path, in linear time", () => {
    expect(match([{ pathRegex: "\\.(mp4|webm)$" }], { path: "/a/b.mp4" })).toBe(0);
    expect(match([{ pathRegex: "\\.(mp4|webm)$" }], { path: "/a/b.mp4x" })).toBe(-1);
    // A backtracking matcher would need 2^5000 steps.
    expect(match([{ pathRegex: "^/(a+)+$" }], { path: `/${"a".repeat(5000)}!` })).toBe(-1);
  });

  it("agrees with a plain reading of the rules for random routes", () => {
    const host = fc.constantFrom("a.x", "b.x", "c.y");
    const pattern = fc.option(fc.constantFrom("a.x", "*.x", "*.y", "b.x"), { nil: undefined });
    const path = fc.constantFrom("/a", "/a/b", "/ab", "/b/");
    const route = fc.record({
      host: pattern,
      path: fc.option(fc.constantFrom("/a", "/a/", "/b/", "/"), { nil: undefined }),
      method: fc.option(fc.constantFrom(["GET"], ["POST", "PUT"]), { nil: undefined }),
    });
    const holds = (r: RouteSpec["match"], h: string, p: string, m: string) =>
      (r.host === undefined || (r.host.startsWith("*") ? h.endsWith(r.host.slice(1)) : h === r.host)) &&
      (r.path === undefined ||
        (r.path.endsWith("/") ? p.startsWith(r.path) : p === r.path || p.startsWith(`${r.path}/`))) &&
      (r.method === undefined || r.method.includes(m));
    fc.assert(
      fc.property(
        fc.array(route, { maxLength: 8 }),
        host,
        path,
        fc.constantFrom("GET", "PUT"),
        (routes, h, p, m) => {
          const expected = routes.findIndex((r) => holds(r, h, p, m));
          expect(match(routes, { host: h, path: p, method: m })).toBe(expected);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("regexError", () => {
  it("accepts what RE2 accepts and explains what it refuses", () => {
    expect(addon.regexError("^/a(b|c)*$")).toBeNull();
    expect(addon.regexError("(")).toContain("missing");
    expect(addon.regexError("(?=look)")).toContain("invalid");
  });
});
