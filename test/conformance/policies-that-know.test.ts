/** Policies that learn from responses, and the chain that narrows by place and content before it picks by URL. */
import { beforeEach, expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { eventually } from "../support/wait.js";

forEachEngine("policies that know content and place", (engine) => {
  const origins = [useRawOrigin(), useRawOrigin(), useRawOrigin(), useRawOrigin()];
  const labels = [
    { zone: "here", content: "video, image" },
    { zone: "here", content: "other, html" },
    { zone: "here", content: "other, html" },
    { zone: "there", content: "video, other" },
  ];
  const near = {
    name: "nearest",
    options: { zones: { here: { networks: ["0.0.0.0/0", "::/0"] }, there: {} } },
  };
  const kinds = { name: "content-type", options: { learn: true } };
  const policies = {
    hybrid: "hybrid",
    narrowed: [near, kinds, "uri-hash"],
    turns: [near, kinds, "round-robin"],
  };
  const proxy = useProxy(
    engine,
    () => ({
      config: {
        workers: 2,
        routes: Object.keys(policies).map((name) => ({ match: { path: `/${name}/` }, pool: name })),
        pools: Object.fromEntries(
          Object.entries(policies).map(([name, policy]) => [
            name,
            { policy, backends: origins.map(({ address }, i) => ({ address, labels: labels[i]! })) },
          ]),
        ),
      },
      warmUp: false as const,
    }),
    // Who is chosen for a connection is the question, and each makes one request.
    { linked: false },
  );
  let fields: string[] = [];
  const answerWith = (...headers: string[]) => {
    fields = headers;
  };
  beforeEach(() => {
    answerWith();
    for (const [i, origin] of origins.entries()) origin.answer(() => ok(String(i), ...fields));
  });

  const ask = async (path: string) => {
    const answer = await proxy.exchange(request(`GET ${path} HTTP/1.1`));
    return answer.status === 200 ? answer.body.toString() : String(answer.status);
  };
  const askOften = async (path: string, count: number) => {
    const served = new Set<string>();
    for (let i = 0; i < count; i++) served.add(await ask(path));
    return [...served].sort();
  };

  it("hybrid keeps a URL with its backend once a response said that it is cacheable, for all workers", async () => {
    expect(await askOften("/hybrid/page", 12)).toEqual(["0", "1", "2", "3"]);
    answerWith("cache-control: max-age=60");
    await ask("/hybrid/page");
    await eventually(
      "a URL that has its place",
      async () => (await askOften("/hybrid/page", 8)).length === 1,
    );
    expect(await askOften("/hybrid/page", 12)).toHaveLength(1);
    expect(await askOften("/hybrid/other?page", 1)).toHaveLength(1);
  });

  it("hybrid lets a URL go when a response says that it is not cacheable any more", async () => {
    answerWith("cache-control: max-age=60");
    await eventually("a URL that has its place", async () => (await askOften("/hybrid/a", 8)).length === 1);
    answerWith("cache-control: no-store");
    await eventually("turns", async () => (await askOften("/hybrid/a", 12)).length === 4);
  });

  it("nearest, content-type and uri-hash narrow one after the other", async () => {
    expect(await askOften("/narrowed/film.mp4", 6)).toEqual(["0"]);
    const page = await askOften("/narrowed/page.html", 6);
    expect(page).toHaveLength(1);
    expect(["1", "2"]).toContain(page[0]);
    expect(await askOften("/turns/page.html", 8)).toEqual(["1", "2"]);
    expect(await askOften("/turns/film.mp4", 8)).toEqual(["0"]);
    // Nobody here serves it, so that all are left.
    expect(await askOften("/turns/font.woff2", 12)).toEqual(["0", "1", "2"]);
  });

  it("content-type believes what a response said of a URL", async () => {
    expect(await askOften("/turns/watch?v=1", 8)).toEqual(["1", "2"]);
    answerWith("content-type: video/mp4");
    await ask("/turns/watch?v=1");
    await eventually("what was learned", async () => (await ask("/turns/watch?v=1")) === "0");
    expect(await askOften("/turns/watch?v=1", 8)).toEqual(["0"]);
  });
});
