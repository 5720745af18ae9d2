/** A client on a link is load for its backend while a request is under way, and no longer. */
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { describe, expect, it, onTestFinished } from "vitest";
import type { EngineName } from "../support/engines.js";
import { readResponse } from "../support/message.js";
import { RunningProxy } from "../support/proxy.js";
import { eventually } from "../support/wait.js";
import type { Wire } from "../support/wire.js";

/** Answers at once, but `/held` when the test says so. */
class Backend {
  readonly held: ServerResponse[] = [];
  readonly #server = createServer((request, response) => {
    if (request.url === "/held") this.held.push(response);
    else response.end("fine");
  });

  async start(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    onTestFinished(() => {
      this.#server.close();
      this.#server.closeAllConnections();
    });
    return `127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }
}

async function ask(wire: Wire, target: string, method = "GET"): Promise<void> {
  const length = method === "POST" ? "content-length: 0\r\n" : "";
  await wire.send(`${method} ${target} HTTP/1.1\r\nhost: test\r\n${length}\r\n`);
}

async function answered(wire: Wire): Promise<void> {
  expect((await readResponse(wire)).status).toBe(200);
}

describe.each<EngineName>(["packet-connection", "packet-request"])("a client on a link (%s)", (engine) => {
  async function setUp() {
    const backend = new Backend();
    const address = await backend.start();
    const proxy = new RunningProxy(() => ({ engine, warmUp: false, backends: [address] }));
    await proxy.start();
    onTestFinished(() => proxy.kill());
    const wire = await proxy.connectCold();
    for (let i = 0; i < 3; i++) {
      await ask(wire, `/warm${i}`);
      await answered(wire);
    }
    const active = async () => (await proxy.metrics()).sum("longsplice_backend_active");
    const links = async () => (await proxy.metrics()).sum("longsplice_links_active");
    return { backend, wire, active, links };
  }

  it("is no load between its requests, and one during each of them", async () => {
    const { backend, wire, active, links } = await setUp();
    for (let round = 1; round <= 3; round++) {
      await expect.poll(active).toBe(0);
      expect(await links()).toBe(1);
      await ask(wire, "/held");
      await eventually("the request at the backend", async () => backend.held.length === round);
      await expect.poll(active).toBe(1);
      backend.held.at(-1)?.end("at last");
      await answered(wire);
    }
    // It returns to user space, where it begins and ends as any other.
    await ask(wire, "/posted", "POST");
    await answered(wire);
    await expect.poll(active).toBe(0);
  });

  it("takes its load along when it goes, in a request or between two", async () => {
    const { backend, wire, active, links } = await setUp();
    await expect.poll(active).toBe(0);
    await ask(wire, "/held");
    await eventually("the request at the backend", async () => backend.held.length === 1);
    await expect.poll(active).toBe(1);
    wire.reset();
    await expect.poll(links).toBe(0);
    await expect.poll(active).toBe(0);
  });

  it("is load as long as its backend has not answered, also when that goes", async () => {
    const { backend, wire, active } = await setUp();
    await expect.poll(active).toBe(0);
    await ask(wire, "/held");
    await eventually("the request at the backend", async () => backend.held.length === 1);
    await expect.poll(active).toBe(1);
    backend.held[0]?.destroy();
    // It was idempotent, so it is sent once more.
    await eventually("the request at the backend again", async () => backend.held.length === 2);
    expect(await active()).toBe(1);
    backend.held[1]?.end("at last");
    await answered(wire);
    await expect.poll(active).toBe(0);
  });
});
