/** What a link that stands costs the process in memory. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { expect, it } from "vitest";
import type { Namespace } from "../support/netns.js";
import { type PacketProgram, packetProgram } from "../support/packet-programs.js";
import { PacketProxy } from "../support/packet-proxy.js";
import { Topology, withPort } from "../support/packet-topology.js";
import { mallocBytes, openChannels } from "../support/process-info.js";
import { delay, eventually } from "../support/wait.js";

/** Links that are made at a time: until it stands, each needs some buffers, which are used again for the next ones. */
const WAVE = 500;
/** Waves before the first look: then those buffers are there. */
const WARM_UP = 2;
const WAVES = 12;
const LIMIT = 4_096;
/** Two of them, of 192 bytes, in a mapping that is resident from the start. */
const RECORDS = 2 * 192;

/** With as many descriptors as it may have. */
function start(space: Namespace, program: PacketProgram, args: readonly string[]): ChildProcess {
  return space.start("sh", [
    "-c",
    'ulimit -n "$(ulimit -Hn)"; exec "$@"',
    "sh",
    packetProgram(program),
    ...args,
  ]);
}

/**
 * Makes links that stay until the test ends. Each has had a request with a long head answered. The proxy is not asked how
 * far they are: answering takes memory, too.
 */
async function hold(
  { client, target }: Topology,
  proxy: PacketProxy,
  waves: number,
): Promise<ChildProcess[]> {
  const clients: ChildProcess[] = [];
  for (let wave = 0; wave < waves; wave++) {
    const expected = openChannels(proxy.pid) + 2 * WAVE;
    clients.push(start(client, "churn_client", [target, "8080", `${WAVE}`, `${WAVE}`, "idle-with-cookie"]));
    await eventually("the sockets", async () => openChannels(proxy.pid) >= expected, 60_000);
    await delay(200);
  }
  return clients;
}

it("a link takes at most 4 KB, however long the head of its request was", async () => {
  const topology = await Topology.make("local", 4);
  const [backend = ""] = topology.backends;
  await once(start(topology.backend, "churn_server", [backend, "9000"]).stdout!, "data");
  const proxy = await PacketProxy.start(topology.proxy, {
    listen: topology.listen,
    backends: [withPort(backend, 9000)],
    config: { accessLog: "combined" },
    // The tables of the links belong to what is measured, however long they are.
    env: { MALLOC_MMAP_THRESHOLD_: String(32 * 1024 * 1024) },
  });
  const clients = await hold(topology, proxy, WARM_UP);
  const before = mallocBytes(proxy.pid);
  clients.push(...(await hold(topology, proxy, WAVES)));
  const perLink = (mallocBytes(proxy.pid) - before) / (WAVES * WAVE) + RECORDS;
  await expect.poll(async () => (await proxy.counters()).activeLinks).toBe((WARM_UP + WAVES) * WAVE);
  expect(perLink).toBeLessThan(LIMIT);
  // Or something else was measured.
  expect(perLink).toBeGreaterThan(LIMIT / 4);
  for (const client of clients) client.kill("SIGKILL");
});
