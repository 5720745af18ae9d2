/** Policies that take too long, do nothing, fail, or choose what is gone when they answer: no request suffers. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { delay, eventually } from "../support/wait.js";

const PLUGINS = `
import http from "node:http";

interface Head { header(name: string): string | undefined }
interface Candidates { length: number; keep(i: number): void }
type Select = (head: Head, candidates: Candidates) => void | Promise<void>;

const options = { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) } } as const;
const policy = (name: string, select: Select) => ({
  name, apiVersion: 1, options, needs: { headers: ["x-post"] }, create: () => ({ select }),
});
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const keepLast = (candidates: Candidates) => candidates.keep(candidates.length - 1);
/** A POST, which is over when it was answered. */
const post = (url: string) =>
  new Promise((resolve, reject) => {
    http.request(url, { method: "POST" }, (response) => response.resume().on("end", resolve)).on("error", reject).end();
  });

export default [
  policy("busy", (_, candidates) => {
    keepLast(candidates);
    for (const end = performance.now() + 60; performance.now() < end; );
  }),
  policy("idle", () => {}),
  policy("rejects", async (_, candidates) => {
    keepLast(candidates);
    await sleep(5);
    throw new Error("rejected on purpose");
  }),
  policy("never-settles", (_, candidates) => {
    keepLast(candidates);
    return new Promise(() => {});
  }),
  policy("rejects-too-late", async (_, candidates) => {
    keepLast(candidates);
    await sleep(80);
    throw new Error("rejected on purpose, when nobody waits any more");
  }),
  policy("posts", async (head, candidates) => {
    candidates.keep(0);
    const url = head.header("x-post");
    if (url !== undefined) await post(url);
  }),
];
`;

forEachEngine("policies that misbehave", (engine) => {
  const directory = mkdtempSync(join(tmpdir(), "longsplice-plugins-"));
  writeFileSync(join(directory, "misbehave.ts"), PLUGINS);
  afterAll(() => rmSync(directory, { recursive: true }));
  const origins = [useRawOrigin(), useRawOrigin(), useRawOrigin()] as const;
  const names = ["first", "second", "third"];
  const pools = () => {
    const backends = origins.map(({ address }) => ({ address }));
    const pool = (...policy: string[]) => ({ policy, backends });
    return {
      idle: pool("idle"),
      busy: pool("busy"),
      rejects: pool("rejects", "round-robin"),
      "never-settles": pool("never-settles", "round-robin"),
      "rejects-too-late": pool("rejects-too-late", "round-robin"),
      "never-settles-alone": pool("never-settles"),
      posts: pool("posts"),
      "posts-for-one": { policy: "posts", backends: backends.slice(0, 1) },
    };
  };
  const config = () => ({
    config: {
      policies: join(directory, "*.ts"),
      routes: Object.keys(pools()).map((name) => ({ match: { path: `/${name}/` }, pool: name })),
      pools: pools(),
    },
    warmUp: false as const,
  });
  // Who is chosen for a connection is the question, and each makes one request.
  const proxy = useProxy(engine, config, { linked: false });
  beforeEach(() => {
    for (const [i, origin] of origins.entries()) origin.answer(ok(names[i]!));
  });

  const ask = async (pool: string, ...headers: string[]) => {
    const answer = await proxy.exchange(request(`GET /${pool}/ HTTP/1.1`, { headers }));
    return answer.status === 200 ? answer.body.toString() : String(answer.status);
  };
  const problems = async (pool: string) => {
    const metrics = await proxy.metrics();
    const count = (kind: string) => metrics.sum("longsplice_policy_errors_total", { pool, kind });
    return { error: count("error"), late: count("late") };
  };
  /** Who answered so many requests, what was counted, and how long they took. */
  const observe = async (pool: string, count = 1) => {
    const before = await problems(pool);
    const started = performance.now();
    const served: string[] = [];
    for (let i = 0; i < count; i++) served.push(await ask(pool));
    const took = performance.now() - started;
    const after = await problems(pool);
    return { served, took, error: after.error - before.error, late: after.late - before.late };
  };
  /** What `observe` sees of three requests if the policy has no say, and the next one is round-robin. */
  const inTurns = { served: expect.arrayContaining(names), took: expect.any(Number) };

  it("one that does nothing leaves the first candidate", async () => {
    const served = ["first", "first", "first"];
    expect(await observe("idle", 3)).toMatchObject({ served, error: 0, late: 0 });
  });

  it("one that keeps the worker busy for 60 ms is counted as late, and obeyed", async () => {
    const { took, ...seen } = await observe("busy");
    expect(seen).toEqual({ served: ["third"], error: 0, late: 1 });
    expect(took).toBeGreaterThanOrEqual(60);
  });

  it("one whose promise is rejected is counted, and has no say", async () => {
    // On a busy machine its time may be over first.
    let seen = await observe("rejects", 3);
    for (let more = 0; more < 10 && seen.late > 0; more++) seen = await observe("rejects", 3);
    expect(seen).toEqual({ ...inTurns, error: 3, late: 0 });
  });

  it.each(["never-settles", "rejects-too-late"])("%s has no say after 50 ms", async (name) => {
    const seen = await observe(name, 3);
    expect(seen).toEqual({ ...inTurns, error: 0, late: 3 });
    // A timer may be early by a part of a millisecond.
    expect(seen.took).toBeGreaterThanOrEqual(3 * 49);
    expect(seen.took).toBeLessThan(10_000);
  });

  it("one that never settles leaves some backend, if there is no other policy", async () => {
    const { served, late } = await observe("never-settles-alone");
    expect(names).toContain(served[0]);
    expect(late).toBe(1);
  });

  it("one whose promise is rejected when it was given up ends no worker", async () => {
    await ask("rejects-too-late");
    await delay(100);
    expect(await ask("idle")).toBe("first");
    expect((await problems("rejects-too-late")).error).toBe(0);
    expect(proxy.logs.filter(({ msg }) => msg?.startsWith("a worker ended"))).toEqual([]);
  });

  it("one that thinks while its client goes away harms nobody", async () => {
    const reached = () => origins.flatMap(({ requests }) => requests).length;
    const leave = async () => {
      const before = reached();
      const client = await proxy.connect();
      const { late } = await problems("never-settles");
      await client.send(request("GET /never-settles/ HTTP/1.1"));
      await delay(20);
      client.reset();
      await eventually("the end of its time", async () => (await problems("never-settles")).late > late);
      await delay(20);
      return reached() === before;
    };
    // On a busy machine the client may go when the time is over, and its request is on its way.
    let attempts = 1;
    while (!(await leave()) && attempts < 20) attempts++;
    expect(attempts).toBeLessThan(20);
    expect(names).toContain(await ask("never-settles"));
  });

  describe("one whose choice is drained before it answers", () => {
    const order = (pool: string, what: "drain" | "enable") =>
      `${proxy.adminUrl}/api/v1/backends/${pool}/${origins[0].address}/${what}`;
    /** It orders that itself, so that it is certain. Who answers instead, of those times that it was not too late. */
    const askAndDrain = async (pool: string) => {
      for (;;) {
        expect((await fetch(order(pool, "enable"), { method: "POST" })).status).toBe(200);
        expect(await ask(pool)).toBe("first");
        const before = await problems(pool);
        const { length } = origins[0].requests;
        const served = await ask(pool, `x-post: ${order(pool, "drain")}`);
        const after = await problems(pool);
        if (after.late > before.late) {
          // Nobody waited for its order, which comes all the same.
          await delay(200);
          continue;
        }
        expect(after.error).toBe(before.error);
        expect(origins[0].requests).toHaveLength(length);
        return served;
      }
    };

    it("is asked again, and another backend answers", async () => {
      expect(await askAndDrain("posts")).toBe("second");
    });

    it("has its client told that there is none, if there is no other one", async () => {
      expect(await askAndDrain("posts-for-one")).toBe("503");
    });
  });
});
