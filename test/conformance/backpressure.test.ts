import { expect, it } from "vitest";
import { ok, pattern, request, response, sha256 } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { rssBytes } from "../support/process-info.js";
import { delay } from "../support/wait.js";
import type { Wire } from "../support/wire.js";

const MB = 1_000_000;
const PIECE = pattern(MB);
const TOTAL = 120;
/**
 * What the kernel's socket buffers of both connections and the proxy's own may hold together, at most. Kernels from 6.17 on let
 * each of two receivers have 32 MB.
 */
const MOST_IN_FLIGHT = 80 * MB;
/** How much the proxy itself may grow while one side does not read. */
const MOST_MEMORY = 24 * MB;

/** Writes `TOTAL` pieces as fast as the other side takes them, and counts them. */
function pour(wire: Wire): { sent: number; done: Promise<void> } {
  const state = { sent: 0, done: Promise.resolve() };
  state.done = (async () => {
    for (let i = 0; i < TOTAL && wire.end !== "reset"; i++) {
      await wire.send(PIECE);
      state.sent += PIECE.length;
    }
  })();
  return state;
}

/** Waits until nothing moved for 300 ms. */
async function stalled(progress: () => number): Promise<void> {
  for (let last = -1; last !== progress(); ) {
    last = progress();
    await delay(300);
  }
}

forEachEngine("backpressure", (engine) => {
  const origin = useRawOrigin();
  const quick = useRawOrigin();
  const proxy = useProxy(engine, () => ({
    config: {
      routes: [
        { match: { path: "/quick" }, pool: "quick" },
        { match: {}, pool: "bulk" },
      ],
      pools: {
        quick: { backends: [{ address: quick.address }] },
        bulk: { backends: [{ address: origin.address }] },
      },
    },
  }));

  it("stops reading from the backend while the client does not read, and loses nothing", async () => {
    let flow = { sent: 0, done: Promise.resolve() };
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response("200 OK", { headers: [`content-length: ${TOTAL * MB}`] }));
      flow = pour(wire);
    });
    const before = rssBytes(proxy.pid);
    const client = await proxy.connect();
    client.patience = 60_000;
    await client.send(request());
    client.pause();
    await origin.connection();
    await stalled(() => flow.sent);
    expect(flow.sent).toBeLessThan(MOST_IN_FLIGHT);
    expect(rssBytes(proxy.pid) - before).toBeLessThan(MOST_MEMORY);
    client.resume();
    const { body } = await readResponse(client);
    expect(body).toHaveLength(TOTAL * MB);
    for (let i = 0; i < TOTAL; i++) expect(body.compare(PIECE, 0, MB, i * MB, (i + 1) * MB)).toBe(0);
  });

  it("stops reading from the client while the backend does not read, and loses nothing", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      wire.patience = 60_000;
      wire.pause();
      await stalled(() => flow.sent);
      held = flow.sent;
      grown = rssBytes(proxy.pid) - before;
      wire.resume();
      await wire.send(ok(sha256(await wire.readExactly(TOTAL * MB))));
    });
    let held = 0;
    let grown = 0;
    const before = rssBytes(proxy.pid);
    const client = await proxy.connect();
    client.patience = 60_000;
    await client.send(request("POST / HTTP/1.1", { headers: [`content-length: ${TOTAL * MB}`] }));
    const flow = pour(client);
    const answer = await readResponse(client);
    expect(answer.body.toString()).toBe(sha256(Buffer.concat(Array.from({ length: TOTAL }, () => PIECE))));
    expect(held).toBeLessThan(MOST_IN_FLIGHT);
    expect(grown).toBeLessThan(MOST_MEMORY);
  });

  it("goes on serving others while 20 clients do not read", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response("200 OK", { headers: [`content-length: ${TOTAL * MB}`] }));
      await pour(wire).done;
    });
    quick.answer(ok("quick"));
    for (let i = 0; i < 20; i++) {
      const client = await proxy.connect();
      client.pause();
      await client.send(request());
    }
    await origin.connection(19);
    const start = performance.now();
    for (let i = 0; i < 20; i++) {
      expect((await proxy.exchange(request("GET /quick HTTP/1.1"))).body.toString()).toBe("quick");
    }
    expect(performance.now() - start).toBeLessThan(15_000);
  });

  it("bounds what a client that pipelines without reading can make it hold", async () => {
    origin.answer(ok(PIECE));
    const before = rssBytes(proxy.pid);
    const client = await proxy.connect();
    client.pause();
    const one = request(`GET / HTTP/1.1`, { headers: [`x: ${"a".repeat(900)}`] });
    const sending = client.send(Buffer.concat(Array.from({ length: 20_000 }, () => one)));
    await stalled(() => origin.requests.length);
    expect(origin.requests.length).toBeLessThan(MOST_IN_FLIGHT / MB);
    expect(rssBytes(proxy.pid) - before).toBeLessThan(MOST_MEMORY);
    client.reset();
    await sending;
  });
});
