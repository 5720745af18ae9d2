import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { Gate } from "../support/wait.js";

/** Plugins as a user writes them, without a build step and without any import. */
const PLUGINS = `
const options = { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) } } as const;
interface Head { header(name: string): string | undefined }
interface Candidates { length: number; at(i: number): { labels: Record<string, string> }; filter(keep: (i: number) => boolean): void }

export default [
  {
    name: "by-zone",
    apiVersion: 1,
    options,
    needs: { headers: ["x-zone"] },
    create: () => ({
      select(head: Head, candidates: Candidates): void {
        if (head.header("x-zone") === "refused") return candidates.refuse();
        candidates.filter((i) => candidates.at(i).labels.zone === head.header("x-zone"));
      },
    }),
  },
  {
    name: "by-zone-later",
    apiVersion: 1,
    options,
    needs: { headers: ["X-Zone"] },
    create: () => ({
      async select(head: Head, candidates: Candidates): Promise<void> {
        await new Promise((resolve) => setTimeout(resolve, 5));
        if (head.header("x-zone") === "refused") return candidates.refuse();
        candidates.filter((i) => candidates.at(i).labels.zone === head.header("x-zone"));
      },
    }),
  },
  {
    name: "slow",
    apiVersion: 1,
    options,
    needs: { headers: [] },
    create: () => ({
      select(head: Head, candidates: Candidates): void {
        const until = performance.now() + 51;
        while (performance.now() < until);
        candidates.keep(0);
      },
    }),
  },
  {
    name: "gone",
    apiVersion: 1,
    options,
    needs: { headers: [] },
    create: () => ({ select: (head: Head, candidates: Candidates) => candidates.keep(3) }),
  },
  {
    name: "strange",
    apiVersion: 1,
    options,
    needs: { headers: [] },
    create: () => ({
      select(): void {
        throw new Proxy({}, { getPrototypeOf() { throw new Error("do not look"); } });
      },
    }),
  },
  {
    name: "broken",
    apiVersion: 1,
    options,
    needs: { headers: [] },
    create: () => ({ select(): void { throw new Error("broken on purpose"); } }),
  },
];
`;

/** Ports of origins are others in each run: with so many, one of three is left out less than once in 10 ^ 8 of them. */
const KEYS = 90;

forEachEngine("policies", (engine) => {
  const directory = mkdtempSync(join(tmpdir(), "longsplice-plugins-"));
  writeFileSync(join(directory, "zones.ts"), PLUGINS);
  afterAll(() => rmSync(directory, { recursive: true }));
  const origins = [useRawOrigin(), useRawOrigin(), useRawOrigin()];
  const zones = ["east", "west", "north"];
  const policies = {
    "round-robin": "round-robin",
    "least-connections": "least-connections",
    "power-of-two": "power-of-two",
    "uri-hash": "uri-hash",
    maglev: "maglev",
    "ring-hash": { name: "ring-hash", options: { key: { header: "X-User" } } },
    "header-hash": { name: "header-hash", options: { header: "X-User" } },
    "source-hash": { name: "source-hash", options: { rule: "modulo" } },
    "by-zone": ["by-zone", "round-robin"],
    "by-zone-later": ["by-zone-later", "round-robin"],
    slow: ["slow", "round-robin"],
    gone: ["gone", "round-robin"],
    strange: ["strange", "round-robin"],
    broken: ["broken", "round-robin"],
  };
  const config = () => ({
    config: {
      policies: join(directory, "*.ts"),
      routes: Object.keys(policies).map((name) => ({ match: { path: `/${name}/` }, pool: name })),
      pools: Object.fromEntries(
        Object.entries(policies).map(([name, policy]) => [
          name,
          {
            policy,
            backends: origins.map(({ address }, i) => ({
              address,
              weight: i === 0 ? 2 : 1,
              labels: { zone: zones[i]! },
            })),
          },
        ]),
      ),
    },
    warmUp: false as const,
  });
  // Who is chosen for a connection is the question, and most make one request.
  const proxy = useProxy(engine, config, { linked: false });
  beforeEach(() => {
    for (const [i, origin] of origins.entries()) origin.answer(ok(zones[i]!));
  });

  const ask = async (path: string, ...headers: string[]) => {
    const answer = await proxy.exchange(request(`GET ${path} HTTP/1.1`, { headers }));
    return answer.status === 200 ? answer.body.toString() : String(answer.status);
  };
  const askOften = async (count: number, path: (i: number) => string) => {
    const served: string[] = [];
    for (let i = 0; i < count; i++) served.push(await ask(path(i)));
    return served;
  };

  it("round-robin gives each backend its weight's share", async () => {
    const served = await askOften(8, () => "/round-robin/");
    const shares = zones.map((zone) => served.filter((one) => one === zone).length);
    expect(shares).toEqual([4, 2, 2]);
  });

  it.each(["uri-hash", "maglev"])(
    "%s sends the same path to one backend, and others to all",
    async (name) => {
      const path = (i: number) => `/${name}/${i % KEYS}`;
      const served = await askOften(2 * KEYS, path);
      expect(served.slice(KEYS)).toEqual(served.slice(0, KEYS));
      expect(new Set(served).size).toBe(3);
    },
  );

  it.each(["ring-hash", "header-hash"])("%s chooses by the header that its options name", async (name) => {
    const served: string[] = [];
    for (let i = 0; i < 2 * KEYS; i++) served.push(await ask(`/${name}/${i}`, `x-user: user-${i % KEYS}`));
    expect(served.slice(KEYS)).toEqual(served.slice(0, KEYS));
    expect(new Set(served).size).toBe(3);
  });

  it("source-hash sends a client to one backend", async () => {
    expect(new Set(await askOften(10, (i) => `/source-hash/${i}`)).size).toBe(1);
  });

  it("least-connections spreads requests that run at the same time by weight", async () => {
    const gate = new Gate();
    for (const origin of origins) {
      origin.answer(async () => {
        await gate.passed;
        return ok();
      });
    }
    const running = () => origins.map(({ requests }) => requests.length);
    const clients = [];
    for (let count = 1; count <= 8; count++) {
      const client = await proxy.connect();
      await client.send(request("GET /least-connections/ HTTP/1.1"));
      await expect.poll(() => running().reduce((sum, one) => sum + one)).toBe(count);
      clients.push(client);
    }
    expect(running()).toEqual([4, 2, 2]);
    gate.open();
    for (const client of clients) await readResponse(client);
  });

  it("power-of-two leaves no backend out and gives none everything", async () => {
    // By lot: a quarter of them at the least, 30 give or take 5.
    const served = await askOften(120, () => "/power-of-two/");
    for (const zone of zones) expect(served.filter((one) => one === zone).length).toBeGreaterThan(4);
  });

  describe.each(["by-zone", "by-zone-later"])("a plugin of the user's own (%s)", (name) => {
    it("narrows the candidates by a header that it asked for", async () => {
      for (const zone of zones) expect(await ask(`/${name}/`, `x-zone: ${zone}`)).toBe(zone);
    });

    it("is skipped and counted when it leaves nobody", async () => {
      expect(zones).toContain(await ask(`/${name}/`, "x-zone: nowhere"));
      const metrics = await proxy.metrics();
      expect(metrics.sum("longsplice_policy_errors_total", { pool: name, kind: "emptied" })).toBe(1);
    });

    it("may refuse a request, which is 503", async () => {
      expect(await ask(`/${name}/`, "x-zone: refused")).toBe("503");
    });
  });

  it("a policy that throws is counted and skipped", async () => {
    expect(new Set(await askOften(4, () => "/broken/")).size).toBe(3);
    expect((await proxy.metrics()).sum("longsplice_policy_errors_total", { pool: "broken" })).toBe(4);
  });

  it.each([
    ["slow", "late"],
    ["gone", "error"],
    ["strange", "error"],
  ])("one that is %s likewise", async (pool, kind) => {
    expect(zones).toContain(await ask(`/${pool}/`));
    expect((await proxy.metrics()).sum("longsplice_policy_errors_total", { pool, kind })).toBe(1);
  });
});
