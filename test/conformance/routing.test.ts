import { expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";

/** Every route adds its name to the request, so that the origin can say which one matched. */
const routes = Object.entries({
  exactHost: { host: "exact.example" },
  wildcardHost: { host: "*.wild.example" },
  method: { path: "/only-some", method: ["PUT", "DELETE"] },
  header: { path: "/media", header: { accept: "video/*" } },
  twoHeaders: { path: "/media", header: { accept: "image/*", "x-tier": "gold" } },
  exactPath: { path: "/exact" },
  prefixPath: { path: "/prefix/" },
  regex: { pathRegex: "\\.(mp4|webm)$" },
  anchored: { pathRegex: "^/v[0-9]+/" },
  everything: { host: "all.example", path: "/all/", method: ["POST"], header: { "x-a": "*b*" } },
  firstOfTwo: { path: "/twice/" },
  secondOfTwo: { path: "/twice/deeper/" },
});

type Probe = [line: string, headers: string[], route: string];
const host = (name: string) => [`host: ${name}`];
const none = "404";

const probes: Probe[] = [
  ["GET / HTTP/1.1", host("exact.example"), "exactHost"],
  ["GET / HTTP/1.1", host("EXACT.Example"), "exactHost"],
  ["GET / HTTP/1.1", host("exact.example:8080"), "exactHost"],
  ["GET / HTTP/1.1", host("sub.exact.example"), none],
  ["GET / HTTP/1.1", host("exact.example.org"), none],
  ["GET / HTTP/1.1", host("notexact.example"), none],
  ["GET / HTTP/1.1", host("a.wild.example"), "wildcardHost"],
  ["GET / HTTP/1.1", host("a.b.Wild.example:81"), "wildcardHost"],
  ["GET / HTTP/1.1", host("wild.example"), none],
  ["GET / HTTP/1.1", host("awild.example"), none],
  ["PUT /only-some HTTP/1.1", [], "method"],
  ["DELETE /only-some HTTP/1.1", [], "method"],
  ["GET /only-some HTTP/1.1", [], none],
  ["GET /media HTTP/1.1", ["accept: video/mp4"], "header"],
  ["GET /media HTTP/1.1", ["Accept: video/"], "header"],
  ["GET /media HTTP/1.1", ["accept: audio/mp3"], none],
  ["GET /media HTTP/1.1", ["x-accept: video/mp4"], none],
  ["GET /media HTTP/1.1", ["accept: image/png", "x-tier: gold"], "twoHeaders"],
  ["GET /media HTTP/1.1", ["accept: image/png", "x-tier: golden"], none],
  ["GET /media HTTP/1.1", ["accept: image/png"], none],
  ["GET /exact HTTP/1.1", [], "exactPath"],
  ["GET /exact?query=/prefix/ HTTP/1.1", [], "exactPath"],
  ["GET /exact/below HTTP/1.1", [], "exactPath"],
  ["GET /exactly HTTP/1.1", [], none],
  ["GET /EXACT HTTP/1.1", [], none],
  ["GET /prefix/ HTTP/1.1", [], "prefixPath"],
  ["GET /prefix/a/b.txt HTTP/1.1", [], "prefixPath"],
  ["GET /prefix HTTP/1.1", [], none],
  ["GET /prefixed/ HTTP/1.1", [], none],
  ["GET /movies/a.mp4 HTTP/1.1", [], "regex"],
  ["GET /a.webm?x=1 HTTP/1.1", [], "regex"],
  ["GET /a.mp4.txt HTTP/1.1", [], none],
  ["GET /a.txt?file=b.mp4 HTTP/1.1", [], none],
  ["GET /v12/users HTTP/1.1", [], "anchored"],
  ["GET /x/v12/users HTTP/1.1", [], none],
  ["POST /all/x HTTP/1.1", ["host: all.example", "x-a: abc"], "everything"],
  ["POST /all/x HTTP/1.1", ["host: all.example", "x-a: ac"], none],
  ["GET /all/x HTTP/1.1", ["host: all.example", "x-a: abc"], none],
  ["POST /all/x HTTP/1.1", ["host: some.example", "x-a: abc"], none],
  ["GET /twice/deeper/ HTTP/1.1", [], "firstOfTwo"],
  ["GET http://exact.example/ HTTP/1.1", host("other.example"), "exactHost"],
  ["GET http://other.example/exact HTTP/1.1", host("exact.example"), "exactPath"],
  ["GET HTTP://Exact.Example:8080/a HTTP/1.1", host("other.example"), "exactHost"],
];

forEachEngine("routing", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({
    config: {
      routes: routes.map(([name, match]) => ({
        match,
        pool: "main",
        setRequestHeaders: { "x-route": name },
      })),
      pools: { main: { backends: [{ address: origin.address }] } },
    },
    warmUp: { target: "/prefix/warm-up" },
  }));

  it.each(probes)("sends %s with %j to %s", async (line, headers, route) => {
    origin.answer((message) => ok(message.fields.get("x-route")!));
    const answer = await proxy.exchange(request(line, { headers }));
    expect(answer.status === 200 ? answer.body.toString() : String(answer.status)).toBe(route);
  });

  it.each([
    ["http://exact.example/a?b=c", "/a?b=c", "exact.example"],
    ["http://exact.example:8080/", "/", "exact.example:8080"],
    ["http://exact.example", "/", "exact.example"],
    ["http://exact.example?b=c", "/?b=c", "exact.example"],
  ])(
    "sends the absolute target %s in origin form, with its authority as host",
    async (target, path, authority) => {
      origin.answer(ok());
      await proxy.exchange(request(`GET ${target} HTTP/1.1`, { headers: host("other.example") }));
      const seen = origin.requests[0]!;
      expect([seen.target, seen.fields.all("host")]).toEqual([path, [authority]]);
    },
  );
});

forEachEngine("routing to pools", (engine) => {
  const first = useRawOrigin();
  const second = useRawOrigin();
  const other = useRawOrigin();
  const proxy = useProxy(engine, () => ({
    config: {
      routes: [
        { match: { path: "/a/" }, pool: "pair" },
        { match: {}, pool: "other" },
      ],
      pools: {
        pair: { policy: "round-robin", backends: [{ address: first.address }, { address: second.address }] },
        other: { backends: [{ address: other.address }] },
      },
    },
  }));

  it("uses exactly the backends of the route's pool, in turn", async () => {
    for (const [name, origin] of Object.entries({ first, second, other })) origin.answer(ok(name));
    const served: string[] = [];
    for (let i = 0; i < 4; i++)
      served.push((await proxy.exchange(request("GET /a/ HTTP/1.1"))).body.toString());
    expect([...served].sort()).toEqual(["first", "first", "second", "second"]);
    expect(served[0]).not.toBe(served[1]);
  });

  it("takes the last route for everything else", async () => {
    other.answer(ok("other"));
    expect((await proxy.exchange(request("GET /b/ HTTP/1.1"))).body.toString()).toBe("other");
  });

  it("forwards OPTIONS * to the pool of the empty match", async () => {
    other.answer(ok());
    await proxy.exchange(request("OPTIONS * HTTP/1.1"));
    expect(other.requests[0]!.target).toBe("*");
  });

  it("routes each request of one connection by itself", async () => {
    for (const [name, origin] of Object.entries({ first, second, other })) origin.answer(ok(name));
    const client = await proxy.connect();
    const paths = ["/a/", "/b", "/a/", "/b"];
    await client.send(...paths.map((path) => request(`GET ${path} HTTP/1.1`)));
    for (const path of paths) {
      const expected = path === "/b" ? ["other"] : ["first", "second"];
      expect(expected).toContain((await readResponse(client)).body.toString());
    }
  });
});
