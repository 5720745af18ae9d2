/** Clients and backends that take nothing while much comes: memory stays bounded, and nothing is lost later. */
import { beforeAll, expect, it } from "vitest";
import { chunked, ok, pattern, request, response, sha256 } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readRequest, readResponse } from "../support/message.js";
import { rssBytes } from "../support/process-info.js";
import { delay, Gate } from "../support/wait.js";
import type { Bytes, Wire } from "../support/wire.js";

const MIB = 1024 * 1024;
const TOTAL = 64 * MIB;
const CONTENT = pattern(TOTAL);
const CONTENT_SHA256 = sha256(CONTENT);
/** How much the whole process may grow: a few socket reads, and what Node itself does meanwhile. */
const MOST_GROWTH = 6 * MIB;

/** What the proxy's memory grew by at most, looked at every 50 ms until `stop`. */
function watchMemory(pid: number): { stop(): number } {
  const before = rssBytes(pid);
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, rssBytes(pid));
  }, 50);
  return {
    stop: () => {
      clearInterval(timer);
      return most - before;
    },
  };
}

/** Writes all pieces; tells how many bytes the kernel took so far, and when it took the last. */
function pour(wire: Wire, pieces: readonly Bytes[]): { sent: () => number; done: Promise<void> } {
  const done = (async () => {
    for (const piece of pieces) await wire.send(piece);
  })();
  return { sent: () => wire.socket.bytesWritten - wire.socket.writableLength, done };
}

/** Waits until nothing moved for 300 ms. */
async function stalled(progress: () => number): Promise<void> {
  for (let last = -1; last !== progress(); ) {
    last = progress();
    await delay(300);
  }
}

const inPieces = (size: number): Buffer[] =>
  Array.from({ length: TOTAL / size }, (_, index) => CONTENT.subarray(index * size, (index + 1) * size));

forEachEngine("readers that take nothing", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  // The heap of Node finds its size, and the buffers that are kept are there.
  beforeAll(async () => {
    origin.answer(ok(CONTENT.subarray(0, MIB)));
    for (let i = 0; i < 50; i++) await proxy.exchange(request("POST / HTTP/1.1", { body: "warm" }));
    proxy.disconnect();
    await origin.reset();
  });

  it.each([
    ["with a length", response("200 OK", { headers: [`content-length: ${TOTAL}`] }), () => inPieces(MIB)],
    [
      "in chunks",
      response("200 OK", { headers: ["transfer-encoding: chunked"] }),
      () => [chunked(inPieces(32_768))],
    ],
    ["that ends with the connection", response("200 OK"), () => inPieces(MIB)],
  ])("64 MiB to a client, %s", async (_, head, pieces) => {
    let sent = () => 0;
    origin.script(async (wire) => {
      await wire.readHead();
      const flow = pour(wire, [head, ...pieces()]);
      sent = flow.sent;
      await flow.done;
      wire.finish();
    });
    const memory = watchMemory(proxy.pid);
    const client = await proxy.connect();
    client.patience = 60_000;
    client.pause();
    await client.send(request());
    await origin.connection();
    await stalled(sent);
    expect(sent()).toBeLessThan(TOTAL);
    client.resume();
    const { body } = await readResponse(client);
    expect(sha256(body)).toBe(CONTENT_SHA256);
    expect(memory.stop()).toBeLessThan(MOST_GROWTH);
  });

  it.each([
    ["with a length", [`content-length: ${TOTAL}`], () => inPieces(MIB)],
    ["in chunks", ["transfer-encoding: chunked"], () => [chunked(inPieces(32_768))]],
  ])("64 MiB to a backend, %s", async (_, headers, pieces) => {
    const reading = new Gate();
    origin.script(async (wire) => {
      wire.pause();
      await reading.passed;
      wire.patience = 60_000;
      wire.resume();
      await wire.send(ok(sha256((await readRequest(wire)).body)));
    });
    const memory = watchMemory(proxy.pid);
    const client = await proxy.connect();
    client.patience = 60_000;
    const { sent } = pour(client, [request("POST / HTTP/1.1", { headers }), ...pieces()]);
    await stalled(sent);
    expect(sent()).toBeLessThan(TOTAL);
    reading.open();
    expect((await readResponse(client)).body.toString()).toBe(CONTENT_SHA256);
    expect(memory.stop()).toBeLessThan(MOST_GROWTH);
  });

  it("requests without end to a proxy whose answers nobody reads", async () => {
    const count = Math.ceil(TOTAL / request().length);
    origin.answer(ok(CONTENT.subarray(0, 1000)));
    const memory = watchMemory(proxy.pid);
    const client = await proxy.connect();
    client.pause();
    const { sent } = pour(client, [Buffer.concat(Array.from({ length: count }, () => request()))]);
    await stalled(sent);
    expect(sent()).toBeLessThan(count * request().length);
    expect(origin.requests.length).toBeLessThan(count);
    expect(memory.stop()).toBeLessThan(MOST_GROWTH);
    client.resume();
    for (let i = 0; i < 1000; i++) expect((await readResponse(client)).body).toHaveLength(1000);
  });
});
