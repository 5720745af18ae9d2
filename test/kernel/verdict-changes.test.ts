/** What becomes of links whose requests are judged when something changes: routes, backends, the client, the proxy. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { EngineName } from "../support/engines.js";
import { readResponse } from "../support/message.js";
import { MortalOrigin } from "../support/mortal-origin.js";
import { RunningProxy } from "../support/proxy.js";
import { delay, eventually } from "../support/wait.js";
import { type Wire, WireClosed } from "../support/wire.js";

// The test file has a network namespace of its own.
const [A, B] = [9001, 9002];
const at = (port: number) => ({ address: `127.0.0.1:${port}` });
const CHECKED = { health: { path: "/h", interval: "300ms", timeout: "2s", rise: 1, fall: 1 } };

async function start(
  config: Record<string, unknown>,
  engine: EngineName = "packet-connection",
): Promise<RunningProxy> {
  const proxy = new RunningProxy(() => ({ engine, warmUp: false, config }));
  await proxy.start();
  onTestFinished(() => proxy.kill());
  return proxy;
}

/** Asks on a connection; the answer's text, or its status if that is not 200. */
async function ask(wire: Wire, target: string, fields = ""): Promise<string> {
  await wire.send(`GET ${target} HTTP/1.1\r\nhost: test\r\n${fields}\r\n`);
  const { status, body } = await readResponse(wire);
  return status === 200 ? body.toString() : String(status);
}

/** A connection whose next plain request is judged. */
async function linked(proxy: RunningProxy): Promise<Wire> {
  const wire = await proxy.connectCold();
  for (let i = 0; i < 3; i++) await ask(wire, `/warm${i}`);
  return wire;
}

const event = async (proxy: RunningProxy, name: string) =>
  (await proxy.metrics()).sum("longsplice_packet_total", { event: name });

/** Links to A, and how many connections there are to it. */
async function linkedTo(proxy: RunningProxy, name: string, count: number): Promise<Wire[]> {
  const found: Wire[] = [];
  for (let i = 0; i < 20 && found.length < count; i++) {
    // Otherwise two requests of a connection would take turns with those of the next one.
    if (i % 2 === 1) await ask(await proxy.connectCold(), "/turn");
    const wire = await linked(proxy);
    if ((await ask(wire, "/who")).startsWith(`${name} `)) found.push(wire);
  }
  expect(found).toHaveLength(count);
  return found;
}

describe("a reload", () => {
  it("brings each link back at its next request, which goes where the new routes say", async () => {
    await MortalOrigin.start("A", A);
    await MortalOrigin.start("B", B);
    const pools = { a: { backends: [at(A)] }, b: { backends: [at(B)] } };
    const proxy = await start({ routes: [{ match: {}, pool: "a" }], pools });
    const wire = await linked(proxy);
    expect(await ask(wire, "/x")).toBe("A GET /x");
    proxy.reload({
      routes: [
        { match: { path: "/x" }, pool: "b" },
        { match: {}, pool: "a" },
      ],
      pools,
    });
    await proxy.logged("configuration reloaded");
    expect(await ask(wire, "/x")).toBe("B GET /x");
    expect(await ask(wire, "/x/2")).toBe("B GET /x/2");
    expect(await ask(wire, "/y")).toBe("A GET /y");
    expect(await event(proxy, "judged")).toBeGreaterThan(1);
  });
});

describe("a backend", () => {
  it("that is killed between requests costs its clients nothing", async () => {
    const a = await MortalOrigin.start("A", A);
    await MortalOrigin.start("B", B);
    const proxy = await start({
      pools: { main: { backends: [at(A), at(B)], ...CHECKED } },
      routes: [{ match: {}, pool: "main" }],
    });
    const wires = await linkedTo(proxy, "A", 3);
    await a.kill();
    await delay(50);
    for (const wire of wires) expect(await ask(wire, "/after")).toBe("B GET /after");
  });

  it("that is killed while a request waits for it: another one answers", async () => {
    await MortalOrigin.start("A", A);
    await MortalOrigin.start("B", B);
    const proxy = await start({
      pools: { main: { backends: [at(A), at(B)] } },
      routes: [{ match: {}, pool: "main" }],
    });
    const [wire] = await linkedTo(proxy, "A", 1);
    expect(await ask(wire!, "/k?die")).toBe("B GET /k?die");
  });

  it("that is killed in the middle of a response ends its client's connection, and nothing looks whole", async () => {
    await MortalOrigin.start("A", A);
    const proxy = await start({
      pools: { main: { backends: [at(A)] } },
      routes: [{ match: {}, pool: "main" }],
    });
    const wire = await linked(proxy);
    await expect(ask(wire, "/h?half")).rejects.toThrow();
  });

  it("that hangs is left when its checks fail: a request that waits goes to another one", async () => {
    const a = await MortalOrigin.start("A", A);
    await MortalOrigin.start("B", B);
    const proxy = await start({
      pools: { main: { backends: [at(A), at(B)], ...CHECKED } },
      routes: [{ match: {}, pool: "main" }],
    });
    const [wire] = await linkedTo(proxy, "A", 1);
    a.freeze();
    expect(await ask(wire!, "/hang")).toBe("B GET /hang");
  });
});

describe.each(["packet-request", "packet-connection"] as const)(
  "a backend that falls ill again and again, by %s,",
  (engine) => {
    it("makes no client wait", async () => {
      await MortalOrigin.start("A", A);
      await MortalOrigin.start("B", B);
      const health = { path: "/h?ill", interval: "50ms", timeout: "40ms", rise: 1, fall: 1 };
      const pools = { main: { backends: [at(A), at(B)], health } };
      const proxy = await start({ pools, routes: [{ match: {}, pool: "main" }] }, engine);
      const begin = performance.now();
      let answers = 0;
      // On a machine that is slow, until there are enough of them.
      const goesOn = () => {
        const ms = performance.now() - begin;
        return ms < 4_000 || (answers <= 1_000 && ms < 40_000);
      };
      const client = async (number: number): Promise<void> => {
        let wire = await proxy.connectCold();
        for (let i = 0; goesOn(); i++) {
          wire.patience = 10_000;
          // What has a "%" in its path returns to user space in any case.
          const target = `/${number}/${i}%20`;
          try {
            expect(await ask(wire, target)).toMatch(new RegExp(`^[AB] GET ${target}$|^50[23]$`));
            answers++;
          } catch (error) {
            // A response that had begun is cut when its backend is found ill.
            if (!(error instanceof WireClosed)) throw error;
            wire = await proxy.connectCold();
          }
        }
      };
      await Promise.all(Array.from({ length: 24 }, (_, number) => client(number)));
      expect(answers).toBeGreaterThan(1_000);
      expect(await event(proxy, "handed")).toBeGreaterThan(500);
    });
  },
);

describe("a policy that chooses by target", () => {
  it("finds its choice kept on links: a target stays where it is", async () => {
    for (const [name, port] of [
      ["A", A],
      ["B", B],
      ["C", 9003],
    ] as const)
      await MortalOrigin.start(name, port);
    const pool = { policy: "uri-hash", backends: [at(A), at(B), at(9003)] };
    const proxy = await start({ pools: { main: pool }, routes: [{ match: {}, pool: "main" }] });
    const wire = await proxy.connectCold();
    const places = new Map<string, string>();
    for (let round = 0; round < 200; round++) {
      const target = `/t${round % (round < 100 ? 10 : 3)}`;
      const [place] = (await ask(wire, target)).split(" ");
      expect(places.get(target) ?? place).toBe(place);
      places.set(target, place!);
    }
    expect(new Set(places.values()).size).toBeGreaterThan(1);
    expect(await event(proxy, "judged")).toBeGreaterThan(20);
    expect(await event(proxy, "returned")).toBeGreaterThan(20);
  });
});

describe("a policy that changes its mind about targets", () => {
  const PLUGIN = `
export default {
  name: "mover",
  apiVersion: 1,
  options: { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) } },
  choosesBy: "target",
  needs: { headers: [] },
  create: (_: unknown, env: { reconsider(): void }) => {
    let place = 0;
    return {
      select(head: { path: string }, candidates: { keep(i: number): void }): void {
        if (head.path === "/move") {
          place = 1 - place;
          env.reconsider();
        }
        candidates.keep(place);
      },
    };
  },
};
`;

  it("is asked again about requests that passed", async () => {
    await MortalOrigin.start("A", A);
    await MortalOrigin.start("B", B);
    const directory = mkdtempSync(join(tmpdir(), "longsplice-plugins-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    writeFileSync(join(directory, "mover.ts"), PLUGIN);
    const proxy = await start({
      policies: join(directory, "mover.ts"),
      pools: { main: { policy: "mover", backends: [at(A), at(B)] } },
      routes: [{ match: {}, pool: "main" }],
    });
    const [wire, other] = [await linked(proxy), await proxy.connectCold()];
    for (let i = 0; i < 20; i++) expect(await ask(wire, "/x")).toBe("A GET /x");
    const passed = await event(proxy, "judged");
    expect(passed).toBeGreaterThan(10);
    expect(await ask(other, "/move")).toBe("B GET /move");
    await eventually("the link's return", async () => (await ask(wire, "/x")) === "B GET /x");
    for (let i = 0; i < 20; i++) expect(await ask(wire, "/x")).toBe("B GET /x");
    expect(await event(proxy, "judged")).toBeGreaterThan(passed + 10);
  });
});

describe("a request", () => {
  it.each([
    "X-Forwarded-For: 6.6.6.6",
    "Forwarded: for=6.6.6.6",
    "X-Real-IP: 6.6.6.6",
    "X_Forwarded_For: 6.6.6.6",
  ])("with %s never passes unseen", async (field) => {
    await MortalOrigin.start("A", A);
    const proxy = await start({
      pools: { main: { backends: [at(A)] } },
      routes: [{ match: {}, pool: "main" }],
    });
    const wire = await linked(proxy);
    const before = await event(proxy, "returned");
    expect(await ask(wire, "/x", `${field}\r\n`)).toBe("A GET /x");
    expect(await event(proxy, "returned")).toBe(before + 1);
  });

  it("that gets no response in time is answered 504, and a link without requests ends in time", async () => {
    await MortalOrigin.start("A", A);
    const timeouts = { response: "2s", idle: "2s" };
    const proxy = await start({
      timeouts,
      pools: { main: { backends: [at(A)] } },
      routes: [{ match: {}, pool: "main" }],
    });
    expect(await ask(await linked(proxy), "/slow?delay=10000")).toBe("504");
    const idle = await linked(proxy);
    expect(await idle.ended(15_000)).toBe("fin");
  });

  it("that passed is logged and counted as any other", async () => {
    await MortalOrigin.start("A", A);
    const proxy = await start({
      accessLog: "json",
      pools: { main: { backends: [at(A)] } },
      routes: [
        { match: { path: "/x/" }, pool: "main" },
        { match: {}, pool: "main" },
      ],
    });
    const wire = await linked(proxy);
    for (let i = 0; i < 50; i++) await ask(wire, `/x/${i}?q`);
    const logged = () => proxy.logs.filter(({ target }) => String(target).startsWith("/x/"));
    await eventually("all log lines", () => logged().length === 50);
    expect(logged()[7]).toMatchObject({
      method: "GET",
      target: "/x/7?q",
      host: "test",
      status: 200,
      bytes: 12,
    });
    expect(logged()[7]).toMatchObject({ route: "/x/", engine: "packet", forward: "connection" });
    const counted = { route: "/x/", code: "200" };
    const requests = async () => (await proxy.metrics()).sum("longsplice_requests_total", counted);
    await expect.poll(requests).toBe(50);
    expect(await event(proxy, "lost_requests")).toBe(0);
  });
});
