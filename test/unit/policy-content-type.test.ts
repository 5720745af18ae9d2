import { describe, expect, it } from "vitest";
import { contentType } from "../../policies/content-type/index.js";
import { Kinds } from "../../policies/content-type/kinds.js";
import {
  type FakeBackend,
  type FakeHead,
  fakeCandidates,
  fakeContext,
  fakeEnv,
  fakeHead,
  fakeSummary,
  type Policy,
} from "../../src/policy/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";

const registry = new PolicyRegistry([contentType]);
const fakes: readonly FakeBackend[] = [
  { address: "pictures", labels: { content: "image, video" } },
  { address: "films", labels: { content: "video" } },
  { address: "pages", labels: { content: "html other" } },
  { address: "any" },
];

function make(options: object = {}, shared: SharedArrayBuffer | null = null): Policy {
  const { backends } = fakeCandidates(fakes);
  return registry.createChain([{ name: "content-type", options, shared }], fakeEnv({ backends }));
}

/** Addresses that are left for a request. */
async function left(policy: Policy, head: FakeHead, from: readonly FakeBackend[] = fakes): Promise<string> {
  const candidates = fakeCandidates(from);
  await policy.select(fakeHead(head), candidates, fakeContext());
  return candidates.addresses().join(" ");
}

describe("kinds of content", () => {
  const kinds = new Kinds({ video: ["ts", "application/x-film"], shape: ["geojson", "model/stl"] });
  const named = (kind: number) => kinds.names[kind];

  it.each([
    ["/a/b.jpg", "image"],
    ["/a/B.JPG", "image"],
    ["/a.b/c", undefined],
    ["/a.jpg/", undefined],
    ["/plain", undefined],
    ["/", undefined],
    ["", undefined],
    ["/x.unheard", undefined],
    [`/x.${"a".repeat(300)}`, undefined],
    ["/archive.tar.gz", "archive"],
    ["/font.woff2", "font"],
    ["/app.min.js", "script"],
    ["/style.css", "style"],
    ["/index.html", "html"],
    ["/data.json", "api"],
    ["/s1.ts", "video"],
    ["/map.geojson", "shape"],
    ["/.gif", "image"],
  ])("tells by the path %s: %s", (path, kind) => expect(named(kinds.ofPath(path))).toBe(kind));

  it.each([
    ["text/html; charset=utf-8", "html"],
    ["IMAGE/PNG", "image"],
    ["image/svg+xml", "image"],
    ["application/vnd.api+json", "api"],
    ["application/octet-stream", undefined],
    ["text/x-anything", "text"],
    ["application/x-film", "video"],
    ["model/stl", "shape"],
    ["", undefined],
    ["other", undefined],
  ])("tells by the media type %s: %s", (type, kind) => expect(named(kinds.ofMediaType(type))).toBe(kind));

  it.each([
    ["text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "html"],
    ["image/avif,image/webp,image/*,*/*;q=0.8", "image"],
    ["application/json, text/plain, */*", "api"],
    ["text/html;q=0.2, image/png;q=0.9", "image"],
    ["image/png;q=0", undefined],
    [`image/png${" ".repeat(2000)}`, undefined],
    ["*/*", undefined],
    ["", undefined],
    [",,;q=,/", undefined],
  ])("tells by what a client would like best: %s is %s", (accept, kind) => {
    expect(named(kinds.ofAccept(accept))).toBe(kind);
  });
});

describe("content-type", () => {
  it("narrows to those that serve the kind, or say nothing of what they serve", async () => {
    const policy = make();
    expect(await left(policy, { target: "/a.png?x=.mp4" })).toBe("pictures any");
    expect(await left(policy, { target: "/a.mp4" })).toBe("pictures films any");
    expect(await left(policy, { target: "/a.html" })).toBe("pages any");
    expect(await left(policy, { target: "/a.css" })).toBe("any");
  });

  it("asks the path before Accept, and takes what neither tells for other", async () => {
    const policy = make();
    expect(await left(policy, { target: "/x", headers: { accept: "image/*" } })).toBe("pictures any");
    expect(await left(policy, { target: "/x.mp4", headers: { accept: "image/*" } })).toBe(
      "pictures films any",
    );
    expect(await left(policy, { target: "/x", headers: { accept: "*/*" } })).toBe("pages any");
    expect(await left(policy, { target: "/x" })).toBe("pages any");
    expect(await left(make({ accept: false }), { target: "/x", headers: { accept: "image/*" } })).toBe(
      "pages any",
    );
  });

  it("does not narrow when nobody serves the kind, unless it is strict", async () => {
    const some = fakes.slice(0, 3);
    expect(await left(make(), { target: "/a.css" }, some)).toBe("pictures films pages");
    expect(await left(make({ strict: true }), { target: "/a.css" }, some)).toBe("");
    expect(await left(make({ strict: true }), { target: "/a.png" }, some)).toBe("pictures");
  });

  it("takes kinds and another label from the options", async () => {
    const own = [
      { address: "maps", labels: { serves: "map" } },
      { address: "rest", labels: { serves: "other" } },
    ];
    const policy = registry.createChain(
      [{ name: "content-type", options: { label: "serves", kinds: { map: ["pbf"] } } }],
      fakeEnv({ backends: fakeCandidates(own).backends }),
    );
    expect(await left(policy, { target: "/1/2/3.PBF" }, own)).toBe("maps");
    expect(await left(policy, { target: "/1/2/3.png" }, own)).toBe("maps rest");
  });

  it("refuses a label with a kind that there is not, and says which there are", () => {
    const { backends } = fakeCandidates([{ address: "a", labels: { content: "image, vidoe" } }]);
    const create = () => registry.createChain([{ name: "content-type", options: {} }], fakeEnv({ backends }));
    expect(create).toThrow(/"content" of a names "vidoe".*image, video/);
  });

  it.each([
    [{ kinds: { Map: ["pbf"] } }, /kinds\.Map/],
    [{ kinds: { map: [".pbf"] } }, /kinds\.map\.0.*extension without dot/],
    [
      { kinds: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, []])) },
      /more than 31 kinds/,
    ],
    [{ entries: 1 }, /entries/],
  ])("refuses %j", (options, message) => expect(() => make(options)).toThrow(message));

  it("looks at what its options say, and at no more", () => {
    const ask = (options: object) => {
      const specs = [{ name: "content-type", options }];
      const { choosesBy, readsResponses } = registry.traitsOf(specs);
      return [
        registry.headersFor(specs),
        choosesBy,
        readsResponses,
        registry.sharedBytes("content-type", options) > 0,
      ];
    };
    expect(ask({})).toEqual([["accept"], "request", false, false]);
    expect(ask({ accept: false })).toEqual([[], "target", false, false]);
    expect(ask({ accept: false, learn: true })).toEqual([[], "request", true, true]);
    expect(registry.responseHeadersFor([{ name: "content-type", options: { learn: true } }])).toEqual([
      "content-type",
    ]);
    expect(Object.hasOwn(make(), "onDone") && (make() as unknown as { hasOnDone: boolean }).hasOnDone).toBe(
      false,
    );
  });
});

describe("content-type that learns", () => {
  const learned = (policy: Policy, target: string, type: string, more: object = {}) => {
    const [backend] = fakeCandidates(fakes).backends;
    policy.onDone?.(fakeSummary(backend!, { target, responseHeaders: { "Content-Type": type }, ...more }));
  };

  it("believes what a response of the URL said more than its name", async () => {
    const policy = make({ learn: true });
    expect(await left(policy, { target: "/film.php?id=1" })).toBe("pages any");
    learned(policy, "/film.php?id=1", "video/mp4");
    expect(await left(policy, { target: "/film.php?id=1" })).toBe("pictures films any");
    expect(await left(policy, { target: "/film.php?id=2" })).toBe("pages any");
    expect(await left(policy, { target: "/film.php?id=1", host: "other.test" })).toBe("pages any");
    learned(policy, "/cover.jpg", "text/html");
    expect(await left(policy, { target: "/cover.jpg" })).toBe("pages any");
    learned(policy, "/film.php?id=1", "image/png");
    expect(await left(policy, { target: "/film.php?id=1" })).toBe("pictures any");
  });

  it("learns from nothing but successful answers to GET and HEAD, of a type that it knows", async () => {
    const policy = make({ learn: true });
    learned(policy, "/x", "video/mp4", { status: 404 });
    learned(policy, "/x", "video/mp4", { ok: false, status: 0 });
    learned(policy, "/x", "video/mp4", { method: "POST" });
    learned(policy, "/x", "application/octet-stream");
    expect(await left(policy, { target: "/x" })).toBe("pages any");
    learned(policy, "/x", "video/mp4", { method: "HEAD", status: 206 });
    expect(await left(policy, { target: "/x" })).toBe("pictures films any");
  });

  it("learns for all workers, and nothing false for other kinds after a reload", async () => {
    const shared = new SharedArrayBuffer(registry.sharedBytes("content-type", { learn: true }));
    learned(make({ learn: true }, shared), "/x", "video/mp4");
    expect(await left(make({ learn: true }, shared), { target: "/x" })).toBe("pictures films any");
    const other = make({ learn: true, kinds: { tile: ["pbf"] } }, shared);
    expect(await left(other, { target: "/x" })).toBe("pages any");
  });
});
