/** What policies are told of responses, what they add to them, and what the instances of all workers have in common. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { delay, eventually } from "../support/wait.js";

const PLUGINS = `
const options = { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) } } as const;
interface Head { path: string }
interface Context { addResponseHeader(name: string, value: string): void }
interface Summary { method: string; target: string; host: string; status: number; responseHeader(name: string): string | undefined }
interface View { length: number; at(i: number): { address: string }; active(i: number): number }
const module = { apiVersion: 1, options };

export default [
  {
    ...module,
    name: "stamper",
    needs: { headers: [] },
    addsResponseHeaders: true,
    create: () => ({ select: (head: Head, _: unknown, context: Context) => context.addResponseHeader("X-Stamp", head.path) }),
  },
  {
    ...module,
    name: "stamper-later",
    needs: { headers: [] },
    addsResponseHeaders: true,
    create: () => ({
      async select(head: Head, _: unknown, context: Context): Promise<void> {
        await new Promise((resolve) => setTimeout(resolve, 5));
        context.addResponseHeader("X-Stamp", head.path);
      },
    }),
  },
  {
    ...module,
    name: "forgetful",
    needs: { headers: [] },
    addsResponseHeaders: true,
    // Nobody waits for it.
    create: () => ({
      select(head: Head, _: unknown, context: Context): void {
        setTimeout(() => context.addResponseHeader("X-Stamp", head.path), 5);
      },
    }),
  },
  {
    ...module,
    name: "smuggler",
    needs: { headers: [] },
    addsResponseHeaders: true,
    create: () => ({ select: (_: Head, __: unknown, context: Context) => context.addResponseHeader("X-Stamp", "a\\r\\nX-Evil: 1") }),
  },
  {
    ...module,
    name: "quitter",
    needs: { headers: [] },
    addsResponseHeaders: true,
    create: () => ({
      select(head: Head, _: unknown, context: Context): void {
        context.addResponseHeader("X-Stamp", head.path);
        throw new Error("it quits");
      },
    }),
  },
  {
    ...module,
    name: "learner",
    needs: { headers: [], responseHeaders: ["Content-Type", "x-missing"] },
    addsResponseHeaders: true,
    create: () => {
      let last = "nothing";
      return {
        select: (_: Head, __: unknown, context: Context) => context.addResponseHeader("X-Last", last),
        onDone: (done: Summary) => {
          const { method, target, host, status } = done;
          last = [method, target, host, status, done.responseHeader("content-TYPE"), String(done.responseHeader("X-Missing"))].join(" ");
        },
      };
    },
  },
  {
    ...module,
    name: "counter",
    needs: { headers: [] },
    addsResponseHeaders: true,
    sharedBytes: () => 4,
    create: (_: unknown, env: { shared: SharedArrayBuffer | null; worker: number }) => {
      const cells = new Int32Array(env.shared!);
      return {
        select: (__: Head, ___: unknown, context: Context) =>
          context.addResponseHeader("X-Count", \`\${Atomics.add(cells, 0, 1) + 1} of \${env.worker}\`),
      };
    },
  },
  {
    ...module,
    name: "viewer",
    needs: { headers: [] },
    addsResponseHeaders: true,
    create: (_: unknown, env: { candidates(): View }) => ({
      select: (__: Head, ___: unknown, context: Context) => {
        const view = env.candidates();
        const all = Array.from({ length: view.length }, (____, i) => view.at(i).address + "=" + view.active(i));
        context.addResponseHeader("X-View", all.join(" "));
      },
    }),
  },
];
`;

forEachEngine("what a policy may do besides choosing", (engine) => {
  const directory = mkdtempSync(join(tmpdir(), "longsplice-plugins-"));
  writeFileSync(join(directory, "sdk.ts"), PLUGINS);
  afterAll(() => rmSync(directory, { recursive: true }));
  const origin = useRawOrigin();
  const other = useRawOrigin();
  const names = [
    "stamper",
    "stamper-later",
    "forgetful",
    "smuggler",
    "quitter",
    "learner",
    "counter",
    "viewer",
  ];
  // Responses are changed, so none of them can pass user space.
  const proxy = useProxy(
    engine,
    () => ({
      config: {
        workers: 2,
        policies: join(directory, "*.ts"),
        routes: names.map((name) => ({ match: { path: `/${name}/` }, pool: name })),
        pools: Object.fromEntries(
          names.map((name) => {
            const addresses = name === "viewer" ? [origin.address, other.address] : [origin.address];
            return [name, { policy: name, backends: addresses.map((address) => ({ address })) }];
          }),
        ),
      },
      warmUp: false as const,
    }),
    { linked: false },
  );
  beforeEach(() => {
    for (const each of [origin, other]) each.answer(ok("fine", "content-type: text/x-test"));
  });

  const ask = async (path: string, field: string) =>
    (await proxy.exchange(request(`GET ${path} HTTP/1.1`))).fields.get(field);

  it.each(["stamper", "stamper-later"])("adds a field to the response (%s)", async (name) => {
    for (const path of ["one", "two"])
      expect(await ask(`/${name}/${path}`, "x-stamp")).toBe(`/${name}/${path}`);
  });

  it("adds nothing when the request is decided, least of all to the next client's response", async () => {
    // In both workers somebody has asked before.
    for (let i = 0; i < 10; i++) {
      expect(await ask(`/forgetful/${i}`, "x-stamp")).toBeUndefined();
      await delay(10);
    }
  });

  it("adds nothing that is no field: it is an error of the policy", async () => {
    const answer = await proxy.exchange(request("GET /smuggler/ HTTP/1.1"));
    expect([answer.status, answer.fields.get("x-stamp"), answer.fields.get("x-evil")]).toEqual([
      200,
      undefined,
      undefined,
    ]);
    expect(
      (await proxy.metrics()).sum("longsplice_policy_errors_total", { pool: "smuggler", kind: "error" }),
    ).toBe(1);
  });

  it("adds nothing when it fails", async () => {
    expect(await ask("/quitter/", "x-stamp")).toBeUndefined();
    expect((await proxy.metrics()).sum("longsplice_policy_errors_total", { pool: "quitter" })).toBe(1);
  });

  it("is told what was asked, and the fields of the response that it named", async () => {
    await eventually("a worker that has learned", async () => {
      const last = await ask("/learner/a?b=c", "x-last");
      return last?.startsWith("GET /learner/a?b=c test.example 200 text/x-test undefined") === true;
    });
  });

  it("has memory in common with the other workers", async () => {
    const counts = new Map<string, number[]>();
    for (let i = 1; i <= 40; i++) {
      const [count, worker] = (await ask("/counter/", "x-count"))!.split(" of ") as [string, string];
      expect(Number(count)).toBe(i);
      counts.set(worker, [...(counts.get(worker) ?? []), i]);
    }
    expect([...counts.keys()].sort()).toEqual(["0", "1"]);
  });

  it("can look at the pool as it is now", async () => {
    const all = `${origin.address}=0 ${other.address}=0`;
    expect(await ask("/viewer/", "x-view")).toBe(all);
    const url = `${proxy.adminUrl}/api/v1/backends/viewer/${other.address}/drain`;
    expect((await fetch(url, { method: "POST" })).status).toBe(200);
    await expect.poll(() => ask("/viewer/", "x-view")).toBe(`${origin.address}=0`);
  });
});
