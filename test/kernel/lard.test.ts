/** Requests for targets that `lard` has placed pass in the kernel, and come back when a backend has too much to do. */
import { expect, it, onTestFinished } from "vitest";
import { readResponse } from "../support/message.js";
import { MortalOrigin } from "../support/mortal-origin.js";
import { RunningProxy } from "../support/proxy.js";
import { delay } from "../support/wait.js";
import type { Wire } from "../support/wire.js";

// The test file has a network namespace of its own.
const [A, B] = [9001, 9002];
const at = (port: number) => ({ address: `127.0.0.1:${port}` });

async function start(options: object): Promise<RunningProxy> {
  await MortalOrigin.start("A", A);
  await MortalOrigin.start("B", B);
  const config = {
    pools: { main: { policy: { name: "lard", options }, backends: [at(A), at(B)] } },
    routes: [{ match: {}, pool: "main" }],
  };
  const proxy = new RunningProxy(() => ({ engine: "packet-connection", warmUp: false, config }));
  await proxy.start();
  onTestFinished(() => proxy.kill());
  return proxy;
}

async function ask(wire: Wire, target: string): Promise<string> {
  await wire.send(`GET ${target} HTTP/1.1\r\nhost: test\r\n\r\n`);
  return (await readResponse(wire)).body.toString().charAt(0);
}

/** What four connections that ask for one target at a time have as answers, and how many requests passed and came back. */
async function askByFour(proxy: RunningProxy, target: string) {
  const wires = await Promise.all([0, 1, 2, 3].map(() => proxy.connectCold()));
  for (const wire of wires) for (let i = 0; i < 3; i++) await ask(wire, target);
  const before = await proxy.metrics();
  const answers = new Set<string>();
  for (let round = 0; round < 20; round++) {
    for (const answer of await Promise.all(wires.map((wire) => ask(wire, target)))) answers.add(answer);
    await delay(50);
  }
  const after = await proxy.metrics();
  const grown = (event: string) =>
    after.sum("longsplice_packet_total", { event }) - before.sum("longsplice_packet_total", { event });
  return { answers: answers.size, judged: grown("judged"), returned: grown("returned") };
}

it("passes requests without asking while nobody has too much to do", async () => {
  const { answers, judged, returned } = await askByFour(await start({}), "/hot");
  expect([answers, returned]).toEqual([1, 0]);
  expect(judged).toBeGreaterThanOrEqual(80);
});

it("asks again when a backend has, although no new request does", async () => {
  // Four at one backend are more than three, and the other one has none.
  const { judged, returned } = await askByFour(await start({ low: 2, high: 3 }), "/hot?delay=150");
  expect(returned).toBeGreaterThan(0);
  expect(judged).toBeGreaterThan(returned);
});
