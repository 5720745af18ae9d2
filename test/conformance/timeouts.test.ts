import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { expect, it, onTestFinished } from "vitest";
import { ok, request, response } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { expectCutShort, expectErrorAnswer, expectNothingReached, expectRefused } from "../support/expect.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { startProxy } from "../support/proxy.js";
import { delay } from "../support/wait.js";
import { Wire } from "../support/wire.js";

/** Long enough for a machine that stalls for a moment: this process is client and origin as well. */
const TIMEOUTS = { header: "1s", connect: "1s", response: "1500ms", idle: "2s", stream: "2s" };

/** How long a step took, in milliseconds. */
async function timed(step: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await step();
  return performance.now() - start;
}

/** A port whose accept queue is full, so that the kernel drops every further SYN. */
async function deafPort(): Promise<number> {
  const program = `
    const server = require("node:net").createServer();
    server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(server.address().port));`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const line = await new Promise<string>((resolve) => {
    createInterface({ input: child.stdout }).once("line", resolve);
  });
  child.kill("SIGSTOP");
  const port = Number(line);
  for (let i = 0; i < 2; i++) {
    const filler = await Wire.connect(port);
    onTestFinished(() => filler.destroy());
  }
  return port;
}

forEachEngine("timeouts", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address], config: { timeouts: TIMEOUTS } }));

  it("answers 408 and closes when a request head stops in the middle", async () => {
    const client = await proxy.connect();
    const step = async () => {
      await client.send("GET / HTTP/1.1\r\nhost: test");
      await expectRefused(client, 408);
    };
    expect(await timed(step)).toBeGreaterThan(900);
    await expectNothingReached(origin);
  });

  it("answers 408 to a head that keeps coming, but too slowly", async () => {
    const client = await proxy.connect();
    const sending = client.dribble(
      request("GET /slow HTTP/1.1", { headers: [`x: ${"a".repeat(200)}`] }),
      1,
      20,
    );
    await expectRefused(client, 408);
    await expectNothingReached(origin);
    client.destroy();
    await sending;
  });

  it("closes an idle connection without a word", async () => {
    origin.answer(ok());
    const client = await proxy.connect();
    const step = async () => {
      await client.send(request());
      await readResponse(client);
      await client.ended();
    };
    expect(await timed(step)).toBeGreaterThan(1_900);
    expect(await client.readToEnd()).toHaveLength(0);
  });

  it("closes a connection on which nothing was ever sent without a word", async () => {
    const client = await proxy.connect();
    expect(await client.readToEnd()).toHaveLength(0);
  });

  it("starts the head's time anew for each request of a connection", async () => {
    origin.answer(ok());
    const client = await proxy.connect();
    for (let round = 0; round < 4; round++) {
      await client.send(request());
      expect((await readResponse(client)).status).toBe(200);
      await delay(400);
    }
  });

  it("answers 504 when the backend does not answer in time", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
    });
    const client = await proxy.connect();
    const step = async () => {
      await client.send(request());
      await expectErrorAnswer(client, 504);
    };
    expect(await timed(step)).toBeGreaterThan(1_400);
    await (await origin.connection()).ended();
  });

  it("answers 504 when the response head comes too slowly", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.dribble(ok("late", `x: ${"a".repeat(200)}`), 1, 20);
    });
    const client = await proxy.connect();
    await client.send(request());
    await expectErrorAnswer(client, 504);
  });

  it("does not count the time of a slow upload against the response", async () => {
    origin.answer((message) => ok(message.body));
    const client = await proxy.connect();
    await client.send(request("POST / HTTP/1.1", { headers: ["content-length: 1000"] }));
    const body = "0123456789".repeat(100);
    await client.dribble(body, 100, 200);
    expect((await readResponse(client)).body.toString()).toBe(body);
  });

  it("does not let a client hold a backend by trickling its body", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.ended();
    });
    const client = await proxy.connect();
    await client.send(request("POST / HTTP/1.1", { headers: ["content-length: 1000"] }));
    client.dribble("0123456789".repeat(20), 1, 50).catch(() => {});
    await expectErrorAnswer(client, 408);
  });

  it("cuts a response whose body stalls", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response("200 OK", { headers: ["content-length: 100"] }), "some");
    });
    const client = await proxy.connect();
    const step = async () => {
      await client.send(request());
      await expectCutShort(client);
    };
    expect(await timed(step)).toBeGreaterThan(1_900);
    await (await origin.connection()).ended();
  });

  it("does not cut a body that comes slowly but steadily", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(response("200 OK", { headers: ["content-length: 10"] }));
      await wire.dribble("0123456789", 1, 300);
    });
    expect((await proxy.exchange(request())).body.toString()).toBe("0123456789");
  });

  it("gives up on a request whose body stalls", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
    });
    const client = await proxy.connect();
    await client.send(request("POST / HTTP/1.1", { headers: ["content-length: 100"] }), "some");
    await client.ended();
    await (await origin.connection()).ended();
  });

  it("gives up on a backend that does not take the connection", async () => {
    const deaf = await startProxy({
      engine,
      backends: [`127.0.0.1:${await deafPort()}`],
      config: { timeouts: TIMEOUTS },
    });
    const client = await deaf.connect();
    await client.send(request());
    expect([502, 504]).toContain((await readResponse(client)).status);
  });

  it("takes the next backend when the first does not take the connection", async () => {
    origin.answer(ok("from the second"));
    const half = await startProxy({
      engine,
      backends: [`127.0.0.1:${await deafPort()}`, origin.address],
      config: { timeouts: TIMEOUTS },
    });
    for (let round = 0; round < 2; round++) {
      expect((await half.exchange(request())).body.toString()).toBe("from the second");
    }
  });
});
