/** What is particular to the pipe engine: which bodies it takes, where its pipes end, and what happens without one. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { Agent, request as undiciRequest } from "undici";
import { expect, it, onTestFinished } from "vitest";
import { ok, pattern, request, response } from "../support/build.js";
import { startRawOrigin } from "../support/fixtures.js";
import { limitFds } from "../support/hostile-process.js";
import { readRequest, readResponse } from "../support/message.js";
import { openChannels, openFds } from "../support/process-info.js";
import { type RunningProxy, startProxy } from "../support/proxy.js";
import { delay, eventually } from "../support/wait.js";
import type { Wire } from "../support/wire.js";

const KB = 1024;
/** As many pipes as a process has at most. */
const PIPES = 64;
/** More than the sockets of both connections hold. */
const STUCK = pattern(8_000_000);

const defaults = { pipeFrom: "128KiB" };
const moved = async (proxy: RunningProxy) => {
  const metrics = await proxy.metrics();
  const by = (engine: string) => metrics.sum("longsplice_forwarded_bytes_total", { engine });
  return { copy: by("copy"), pipe: by("pipe") };
};
const fallbacks = async (proxy: RunningProxy, reason: string) =>
  (await proxy.metrics()).sum("longsplice_engine_fallback_total", { from: "pipe", to: "copy", reason });

const requests = async (proxy: RunningProxy) => (await proxy.metrics()).sum("longsplice_requests_total");

/** How many descriptors are open when no file is that is only read for a moment. */
async function fdsAtRest(pid: number): Promise<number> {
  let least = openFds(pid);
  for (let sample = 0; sample < 20; sample++) {
    await delay(10);
    least = Math.min(least, openFds(pid));
  }
  return least;
}

async function ask(client: Wire, path: string): Promise<Buffer> {
  await client.send(request(`GET ${path} HTTP/1.1`));
  return (await readResponse(client)).body;
}

/** An origin that answers with as many bytes as the path says, the head in a piece of its own. */
async function startSizedOrigin() {
  const origin = await startRawOrigin();
  origin.script(async (wire) => {
    for (;;) {
      const { target } = await readRequest(wire);
      const body = pattern(Number(target.slice(1)));
      await wire.send(response("200 OK", { headers: [`content-length: ${body.length}`] }));
      await wire.send(body);
    }
  });
  return origin;
}

it("leaves small bodies to copying, and says in the access log who moved each", async () => {
  const origin = await startSizedOrigin();
  const proxy = await startProxy({
    engine: "pipe",
    backends: [origin.address],
    config: { ...defaults, accessLog: "json" },
  });
  const client = await proxy.connect();
  const sizes = [100 * KB, 127 * KB, 4000 * KB, 5 * KB];
  for (const size of sizes) expect((await ask(client, `/${size}`)).equals(pattern(size))).toBe(true);
  const lines = () => proxy.logs.filter(({ target }) => target !== undefined);
  await eventually("all lines of the access log", () => lines().length === sizes.length);
  expect(lines().map(({ engine, bytes }) => [engine, bytes])).toEqual(
    sizes.map((size) => [size >= 128 * KB ? "pipe" : "copy", size]),
  );
  const { copy, pipe } = await moved(proxy);
  expect(copy + pipe).toBe(sizes.reduce((sum, size) => sum + size));
  // The end of a body, where little is left, is copied.
  expect(pipe).toBeGreaterThan(3000 * KB);
});

it("takes requests of unknown end, too, once they turn out to be long", async () => {
  const origin = await startRawOrigin();
  origin.script(async (wire) => {
    await wire.readHead();
    await wire.send(
      "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
      "hello",
    );
    await wire.send(await wire.readExactly(4_000_000));
  });
  const proxy = await startProxy({ engine: "pipe", backends: [origin.address], config: defaults });
  const client = await proxy.connect();
  await client.send(request("GET / HTTP/1.1", { headers: ["connection: upgrade", "upgrade: echo"] }));
  expect((await readResponse(client)).status).toBe(101);
  expect((await client.readExactly(5)).toString()).toBe("hello");
  expect((await moved(proxy)).pipe).toBe(0);
  const sent = client.send(pattern(4_000_000));
  expect((await client.readExactly(4_000_000)).equals(pattern(4_000_000))).toBe(true);
  await sent;
  expect((await moved(proxy)).pipe).toBeGreaterThan(1_000_000);
});

it("takes Unix sockets on both sides", async () => {
  const folder = mkdtempSync("/tmp/longsplice-test-");
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [front, back] = [join(folder, "front"), join(folder, "back")];
  const origin = http.createServer((incoming, answer) => {
    answer.setHeader("content-length", incoming.headers["content-length"]!);
    incoming.pipe(answer);
  });
  await new Promise<void>((resolve) => origin.listen(back, resolve));
  onTestFinished(() => void origin.close());
  const pools = { main: { backends: [{ address: `unix:${back}` }] } };
  const proxy = await startProxy({
    engine: "pipe",
    config: { ...defaults, listeners: [{ address: `unix:${front}` }], routes: [{ pool: "main" }], pools },
  });
  const dispatcher = new Agent({ connect: { socketPath: front } });
  onTestFinished(() => dispatcher.destroy());
  for (const size of [3_000_000, 3_000_001]) {
    const body = pattern(size);
    const answer = await undiciRequest("http://test.example/", { dispatcher, method: "POST", body });
    expect(Buffer.from(await answer.body.bytes()).equals(body)).toBe(true);
  }
  expect((await moved(proxy)).pipe).toBeGreaterThan(6_000_000);
});

it("blames the backend when what it does not take waits in a pipe", async () => {
  const origin = await startRawOrigin();
  origin.script(async (wire) => {
    await wire.readHead();
    wire.pause();
  });
  const config = { ...defaults, timeouts: { stream: "700ms" } };
  const proxy = await startProxy({ engine: "pipe", backends: [origin.address], config });
  const client = await proxy.connect();
  const head = request("POST / HTTP/1.1", { headers: [`content-length: ${2 * STUCK.length}`] });
  const sending = client.send(head, STUCK);
  expect((await readResponse(client)).status).toBe(504);
  client.reset();
  await sending;
});

it("has so many pipes for clients that do not read, copies for the others, and loses nothing", async () => {
  const origin = await startRawOrigin();
  origin.answer(ok(STUCK));
  const proxy = await startProxy({ engine: "pipe", backends: [origin.address], config: defaults });
  const before = openChannels(proxy.pid);
  const clients: Wire[] = [];
  for (let i = 0; i < PIPES + 6; i++) {
    const client = await proxy.connect();
    client.pause();
    await client.send(request());
    clients.push(client);
  }
  const full = before + 2 * clients.length + 2 * PIPES;
  await eventually("all pipes to hold bytes", () => openChannels(proxy.pid) === full, 20_000);
  for (const client of clients) {
    client.patience = 60_000;
    client.resume();
    expect((await readResponse(client)).body.equals(STUCK)).toBe(true);
    client.reset();
  }
  // A body is counted when its exchange is over, which may be a moment after its last byte is here.
  await eventually("the last exchange", async () => (await requests(proxy)) === clients.length);
  // More than those without a pipe at the end: one that became empty for a moment may have gone to another body. Or fewer: a body
  // that came slowly for a moment was being copied anyway when its client was full.
  const without = await fallbacks(proxy, "pool");
  expect(without).toBeGreaterThan(0);
  expect(without).toBeLessThan(clients.length);
  await proxy.stop();
}, 120_000);

it("copies where the process has no descriptors for a pipe", async () => {
  const origin = await startSizedOrigin();
  const proxy = await startProxy({ engine: "pipe", backends: [origin.address], config: defaults });
  const client = await proxy.connect();
  await ask(client, "/100");
  limitFds(proxy.pid, await fdsAtRest(proxy.pid));
  expect((await ask(client, "/2000000")).equals(pattern(2_000_000))).toBe(true);
  limitFds(proxy.pid, openFds(proxy.pid) + 16);
  await eventually("both exchanges", async () => (await requests(proxy)) === 2);
  expect(await moved(proxy)).toEqual({ copy: 2_000_100, pipe: 0 });
  expect(await fallbacks(proxy, "descriptors")).toBe(1);
});

it("closes the pipe of a client that leaves in the middle, and lives on", async () => {
  const origin = await startRawOrigin();
  origin.answer(ok(STUCK));
  const proxy = await startProxy({ engine: "pipe", backends: [origin.address], config: defaults });
  const status = readFileSync(`/proc/${proxy.pid}/status`, "latin1");
  const ignored = BigInt(`0x${/^SigIgn:\s*(\w+)$/m.exec(status)![1]}`);
  // Bit 12 is signal 13, SIGPIPE: splice(2) raises it for a connection that is gone.
  expect((ignored >> 12n) & 1n).toBe(1n);
  await moved(proxy);
  const before = openFds(proxy.pid);
  for (let i = 0; i < 20; i++) {
    const piped = (await moved(proxy)).pipe;
    const client = await proxy.connect();
    client.pause();
    await client.send(request());
    await eventually("bytes in a pipe", async () => (await moved(proxy)).pipe > piped);
    client.reset();
  }
  // One pipe is kept for the next body.
  await eventually("the end of all pipes but one", () => openFds(proxy.pid) <= before + 2);
  await proxy.stop();
});
