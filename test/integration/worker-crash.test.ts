import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { ok, request } from "../support/build.js";
import { type EngineName, forEachEngine } from "../support/engines.js";
import { startRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { startProxy } from "../support/proxy.js";
import { delay, eventually } from "../support/wait.js";
import { Wire } from "../support/wire.js";

/** A policy with a slip that no call of it can be blamed for: it throws from a timer, so many ms after a request that asks for it. */
const PLUGIN = `export default {
  name: "time-bomb",
  apiVersion: 1,
  options: { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } },
  needs: { headers: ["x-bomb"] },
  create: () => ({
    select(head) {
      const ms = head.header("x-bomb");
      if (ms) setTimeout(() => { throw new Error("boom"); }, Number(ms));
    },
    // Nobody can be told of the exchanges that end with the thread.
    onDone() {},
  }),
};`;

/** The response comes before, also where this process stalls: it is the origin, and what comes with a RST may be lost. */
const LATE_BOMB = "x-bomb: 1500";

async function startWithBomb(
  engine: EngineName,
  listener = "127.0.0.1:0",
  script?: (wire: Wire) => Promise<void>,
) {
  const folder = mkdtempSync(join(tmpdir(), "longsplice-bomb-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const plugin = join(folder, "bomb.mjs");
  writeFileSync(plugin, PLUGIN);
  const origin = await startRawOrigin();
  if (script === undefined) origin.answer(ok("fine"));
  else origin.script(script);
  return startProxy({
    engine,
    config: {
      listeners: [{ address: listener }],
      policies: plugin,
      routes: [{ pool: "main" }],
      pools: { main: { backends: [{ address: origin.address }], policy: "time-bomb" } },
      workers: 2,
    },
  });
}

forEachEngine("a worker that crashes", (engine) => {
  it("is logged and replaced, and the counters go on", async () => {
    const proxy = await startWithBomb(engine);
    for (let i = 0; i < 10; i++) await proxy.exchange(request("GET / HTTP/1.1"));
    // What the worker has counted is known as of the last time that it was asked.
    await proxy.metrics();
    await proxy.exchange(request("GET / HTTP/1.1", { headers: [LATE_BOMB] }));
    const line = await proxy.logged("a worker ended unexpectedly; another one takes its place");
    expect(JSON.stringify(line)).toContain("boom");
    await eventually("both workers", async () => {
      const { workers, state } = (await proxy.status()) as { workers: { alive: number }; state: string };
      return workers.alive === 2 && state === "ready";
    });
    for (let i = 0; i < 20; i++) {
      expect((await proxy.exchange(request("GET / HTTP/1.1"))).status).toBe(200);
    }
    const answered = async () => (await proxy.metrics()).sum("longsplice_requests_total", { code: "200" });
    await expect.poll(answered).toBeGreaterThanOrEqual(30);
    // A link counts as long as it stands.
    proxy.disconnect();
    await expect.poll(async () => (await proxy.metrics()).sum("longsplice_backend_active", {})).toBe(0);
    await proxy.stop();
  });

  // What links report then reaches a thread in which no JavaScript may run any more.
  it("ends alone when it crashes among requests of many others", async () => {
    const proxy = await startWithBomb(engine);
    let over = false;
    const crashes = () =>
      proxy.logs.filter(({ msg }) => /^a worker ended unexpectedly/.test(msg ?? "")).length;
    const client = async () => {
      while (!over) {
        const wire = new Wire(net.connect(proxy.port, "127.0.0.1"));
        try {
          while (!over) {
            await wire.send(request());
            await readResponse(wire);
          }
        } catch {
          // Its worker crashed.
        } finally {
          wire.destroy();
        }
      }
    };
    const clients = Array.from({ length: 16 }, client);
    for (let crash = 1; crash <= 3; crash++) {
      // A request that meets a worker which is ending is lost, and the sixth crash would be too many.
      while (crashes() < crash) {
        await proxy.exchange(request("GET / HTTP/1.1", { headers: ["x-bomb: 50"] })).catch(() => {});
        await eventually("the crash", () => crashes() >= crash, 5_000).catch(() => {});
      }
      await proxy.status();
    }
    over = true;
    await Promise.all(clients);
    await proxy.stop();
  });

  it("resets a client whose response would seem whole with a FIN", async () => {
    const proxy = await startWithBomb(engine, "127.0.0.1:0", async (wire) => {
      await wire.readHead();
      await wire.send("HTTP/1.1 200 OK\r\n\r\nhalf of it");
    });
    const client = await proxy.connect();
    await client.send(`GET / HTTP/1.0\r\n${LATE_BOMB}\r\n\r\n`);
    await client.readHead();
    expect(await client.ended()).toBe("reset");
    await proxy.stop();
  });

  it("is replaced also where the workers share one queue: on a Unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "longsplice-bomb-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "front");
    const proxy = await startWithBomb(engine, `unix:${path}`);
    const exchange = async (bytes: Buffer) => {
      const wire = new Wire(net.connect(path));
      try {
        await wire.send(bytes);
        return (await readResponse(wire)).status;
      } finally {
        wire.destroy();
      }
    };
    for (let crash = 1; crash <= 3; crash++) {
      const after = proxy.logs.length;
      expect(await exchange(request("GET / HTTP/1.1", { headers: [LATE_BOMB] }))).toBe(200);
      await proxy.logged("a worker ended unexpectedly; another one takes its place", undefined, after);
      await eventually("both workers", async () => {
        const { workers } = (await proxy.status()) as { workers: { alive: number } };
        return workers.alive === 2;
      });
      for (let i = 0; i < 20; i++) expect(await exchange(request())).toBe(200);
    }
    await proxy.stop();
    expect(existsSync(path)).toBe(false);
  });

  it("ends the process with 70 when it happens again and again", async () => {
    const proxy = await startWithBomb(engine);
    let exited = false;
    void proxy.exited.then(() => {
      exited = true;
    });
    // A crash takes as long as the worker that takes the place needs to start.
    for (let i = 0; i < 600 && !exited; i++) {
      await proxy.exchange(request("GET / HTTP/1.1", { headers: ["x-bomb: 50"] })).catch(() => {});
      await delay(100);
    }
    expect(await proxy.exited).toBe(70);
    expect(proxy.logs.some(({ msg }) => /the 6th within a minute/.test(String(msg)))).toBe(true);
    proxy.kill();
  });
});
