/** What is particular to the sockmap engine: which bodies it takes, how exactly, and what becomes of those in the middle. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { ok, pattern, request, response } from "../support/build.js";
import { sockmapUsable } from "../support/engines.js";
import { startRawOrigin } from "../support/fixtures.js";
import { readRequest, readResponse } from "../support/message.js";
import { type RunningProxy, startProxy } from "../support/proxy.js";
import { eventually } from "../support/wait.js";
import type { Wire } from "../support/wire.js";

const KB = 1024;
const usable = sockmapUsable();
/** A test that is skipped would count as one that failed. */
const whereUsable = usable ? it : () => {};

const moved = async (proxy: RunningProxy) => {
  const metrics = await proxy.metrics();
  const by = (engine: string) => metrics.sum("longsplice_forwarded_bytes_total", { engine });
  return { copy: by("copy"), sockmap: by("sockmap") };
};
const fallbacks = async (proxy: RunningProxy, reason: string) =>
  (await proxy.metrics()).sum("longsplice_engine_fallback_total", { from: "sockmap", to: "copy", reason });

async function ask(client: Wire, path: string): Promise<Buffer> {
  await client.send(request(`GET ${path} HTTP/1.1`));
  return (await readResponse(client)).body;
}

/** An origin that answers with as many bytes as the path says, the head by itself, and the body when its client has the head. */
async function startSizedOrigin(client: () => Wire) {
  const origin = await startRawOrigin();
  origin.script(async (wire) => {
    for (;;) {
      const { target } = await readRequest(wire);
      const body = pattern(Number(target.slice(1)));
      const before = client().receivedLength;
      await wire.send(response("200 OK", { headers: [`content-length: ${body.length}`] }));
      // A proxy that has passed the head on asks for the rest before it comes.
      await eventually("the head at the client", () => client().receivedLength > before);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await wire.send(body);
    }
  });
  return origin;
}

if (!usable)
  it("is refused where the self-test fails or may not run, with the reason", async () => {
    const origin = await startRawOrigin();
    const starting = startProxy({ engine: "sockmap", backends: [origin.address] });
    await expect(starting).rejects.toThrow(/LS_ENGINE_UNAVAILABLE/);
  });

whereUsable("takes bodies between two sizes, and says in the access log which", async () => {
  const origin = await startSizedOrigin(() => client);
  const config = { sockmapFrom: "64KiB", sockmapTo: "256KiB", accessLog: "json" };
  const proxy = await startProxy({ engine: "sockmap", backends: [origin.address], config });
  const client: Wire = await proxy.connect();
  const sizes = [63 * KB, 64 * KB, 256 * KB, 100 * KB];
  for (const size of sizes) expect((await ask(client, `/${size}`)).equals(pattern(size))).toBe(true);
  const lines = () => proxy.logs.filter(({ target }) => target !== undefined);
  await eventually("all lines of the access log", () => lines().length === sizes.length);
  expect(lines().map(({ engine, bytes }) => [engine, bytes])).toEqual(
    sizes.map((size) => [size < 64 * KB ? "copy" : "sockmap", size]),
  );
  expect((await moved(proxy)).sockmap).toBeGreaterThan(200 * KB);
  expect(origin.connections).toHaveLength(1);
});

whereUsable("hands over exactly one body: what follows it belongs to the next request", async () => {
  const origin = await startRawOrigin();
  const sha256 = (body: Buffer) => createHash("sha256").update(body).digest("hex");
  origin.script(async (wire) => {
    for (;;) await wire.send(ok(sha256((await readRequest(wire)).body)));
  });
  const proxy = await startProxy({
    engine: "sockmap",
    backends: [origin.address],
    config: { sockmapFrom: 1 },
  });
  const client = await proxy.connect();
  const bodies = Array.from({ length: 24 }, (_, i) => pattern(1 + i * 9973, i + 1));
  const stream = Buffer.concat(
    bodies.flatMap((body) => [
      Buffer.from(request("POST / HTTP/1.1", { headers: [`content-length: ${body.length}`] })),
      body,
    ]),
  );
  const sending = (async () => {
    for (let at = 0; at < stream.length; at += 31_337) {
      await client.send(stream.subarray(at, at + 31_337));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  for (const body of bodies) expect((await readResponse(client)).body.toString()).toBe(sha256(body));
  await sending;
  expect((await moved(proxy)).sockmap).toBeGreaterThan(0);
});

whereUsable(
  "keeps no more than what was handed over for clients that do not read",
  async () => {
    const origin = await startRawOrigin();
    // More than the sockets of both connections hold.
    const body = pattern(8_000_000);
    origin.answer(ok(body));
    const config = { sockmapFrom: "1MiB", sockmapTo: "16MiB" };
    const proxy = await startProxy({ engine: "sockmap", backends: [origin.address], config });
    const clients: Wire[] = [];
    for (let i = 0; i < 14; i++) {
      const client = await proxy.connect();
      client.pause();
      await client.send(request());
      clients.push(client);
    }
    for (const client of clients) {
      client.patience = 60_000;
      client.resume();
      expect((await readResponse(client)).body.equals(body)).toBe(true);
      client.reset();
    }
    // 64 MiB are for bodies under way; those on top were copied, as slowly as their clients read. How many depends on how much
    // sockets hold by themselves.
    await eventually("the last exchange", async () => (await fallbacks(proxy, "queued")) >= 1);
    expect((await moved(proxy)).sockmap).toBeGreaterThan(4 * body.length);
    await proxy.stop();
  },
  120_000,
);

whereUsable("cuts both connections when one end is gone in the middle, and lives on", async () => {
  const origin = await startRawOrigin();
  origin.script(async (wire) => {
    const { target } = await readRequest(wire);
    await wire.send(response("200 OK", { headers: ["content-length: 500000"] }));
    await wire.send(pattern(200_000));
    if (target === "/backend") return wire.reset();
    await wire.ended();
  });
  const proxy = await startProxy({
    engine: "sockmap",
    backends: [origin.address],
    config: { sockmapFrom: 1 },
  });
  for (let i = 0; i < 10; i++) {
    const client = await proxy.connect();
    await client.send(request("GET /backend HTTP/1.1"));
    await client.ended();
    const leaver = await proxy.connect();
    await leaver.send(request("GET /client HTTP/1.1"));
    await leaver.readExactly(50_000);
    leaver.reset();
  }
  await eventually("the end of all exchanges", async () => {
    const metrics = await proxy.metrics();
    return metrics.sum("longsplice_connections_active", {}) === 0;
  });
  await proxy.stop();
});
