import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadAddon, type NativeRoute } from "../../src/dataplane/index.js";
import type { RouteSpec } from "../../src/routing/index.js";
import { nativePool, nativeRoute, nativeSnapshot } from "../support/native-snapshot.js";

const addon = loadAddon();

interface Route {
  match: RouteSpec["match"];
  forward: NativeRoute["forward"];
  /** Which of the pools. */
  pool: 0 | 1;
  adds: boolean;
}

const snapshotOf = (routes: readonly Route[]) =>
  nativeSnapshot(
    routes.map(({ match, forward, pool, adds }, index) =>
      nativeRoute(index, match, {
        forward,
        pool,
        fields: { setRequestHeaders: adds ? [["a", "b"]] : [], removeRequestHeaders: ["x-secret"] },
      }),
    ),
    [nativePool("by load", "load"), nativePool("by request", "request")],
  );

const plain = (match: RouteSpec["match"]): Route => ({ match, forward: "connection", pool: 0, adds: false });

const verdict = (routes: readonly Route[], path = "/", host = "h", method = "GET"): number =>
  addon.verdictOf(snapshotOf(routes), method, host, path);

describe("the table of verdicts", () => {
  it("names the first route that matches", () => {
    const routes = [plain({ path: "/a" }), plain({ path: "/a/b/" }), plain({ host: "*.x" }), plain({})];
    expect(verdict(routes, "/a/b/c")).toBe(0);
    expect(verdict(routes, "/ab")).toBe(3);
    expect(verdict(routes, "/ab", "a.x")).toBe(2);
    expect(verdict(routes, "/a/", "a.x")).toBe(0);
  });

  it("names none where something else than host, path and method decides", () => {
    const last = plain({});
    expect(verdict([last])).toBe(0);
    expect(verdict([plain({ header: { a: "b" } }), last])).toBe(-1);
    expect(verdict([plain({ pathRegex: "x" }), last])).toBe(-1);
    expect(verdict([{ ...last, forward: "request" }, last])).toBe(-1);
    expect(verdict([{ ...last, pool: 1 }, last])).toBe(-1);
    expect(verdict([{ ...last, adds: true }, last])).toBe(-1);
    expect(verdict([plain({ method: ["POST"] }), last])).toBe(1);
    expect(verdict([plain({ path: "/x" })])).toBe(-1);
    // ... and where a path is too long for the table.
    const long = `/${"l".repeat(60)}`;
    expect(verdict([plain({ path: long }), last], long)).toBe(-1);
    expect(verdict([plain({ path: `/a${long}` }), plain({ path: "/a" }), last], "/b")).toBe(-1);
  });

  it("agrees with the router wherever it names a route", () => {
    const long = (letter: string, length: number) => `/${letter.repeat(length - 1)}`;
    const text = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.constantFrom("/a", "/a/", "/a/b", "/a/b/", "/ab", "/b", "/A", "/a/b/c/d", "//", "/"),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom(long("l", 55), long("l", 56), long("l", 57), `${long("l", 55)}/`),
      },
    );
    const match = fc.record(
      {
        host: fc.constantFrom("a.x", "b.x", "*.x", "*.a.x", "*.y", "c.y"),
        path: text,
        method: fc.constantFrom(["GET"], ["HEAD"], ["GET", "HEAD"], ["POST"], ["HEAD", "PUT"]),
        header: fc.constantFrom({ accept: "video/*" }),
      },
      { requiredKeys: [] },
    );
    const rarely = <T>(usual: T, other: T) =>
      fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constant(other) });
    const route = fc.record({
      match: fc.oneof(
        { weight: 1, arbitrary: fc.constant({ pathRegex: "b" }) },
        { weight: 2, arbitrary: match },
        { weight: 12, arbitrary: match.map(({ header: _, ...rest }) => rest) },
      ),
      forward: rarely<NativeRoute["forward"]>("connection", "request"),
      pool: rarely<0 | 1>(0, 1),
      adds: rarely(false, true),
    });
    const path = fc
      .tuple(text, fc.constantFrom("", "x", "/", "/b", "b/c/d/e"))
      .map((parts) => parts.join(""));
    const host = fc.constantFrom("a.x", "A.X:80", "b.x", "c.a.x", "z.x", "c.y", "d.y", "else", "x", "");
    const headers = fc.constantFrom<[string, string][]>([], [["accept", "video/mp4"]]);
    let named = 0;
    fc.assert(
      fc.property(
        fc.array(route, { maxLength: 8 }),
        host,
        path,
        fc.constantFrom("GET", "HEAD"),
        headers,
        fc.boolean(),
        (some, host, path, method, headers, all) => {
          const routes = all ? [...some, plain({})] : some;
          const index = verdict(routes, path, host, method);
          if (index < 0) return;
          named++;
          expect(index).toBe(addon.matchRoute(snapshotOf(routes), method, host, path, headers));
        },
      ),
      { numRuns: 20_000 },
    );
    expect(named).toBeGreaterThan(5_000);
  });
});
