/** Ports at the ends of their range, and sequence numbers that wrap, or change their sign, in each of the four directions. */
import { describe, expect, it } from "vitest";
import { packetProgram } from "../support/packet-programs.js";
import { type ClientOptions, MB, PacketRun } from "../support/packet-run.js";
import { setSysctl } from "../support/packet-topology.js";
import { delay } from "../support/wait.js";

const PORT_RANGE = "net/ipv4/ip_local_port_range";
const USUAL_PORTS = "32768 60999";

/** Fetches while the proxy has only this port for its backend. */
async function fetchFrom(
  run: PacketRun,
  port: number,
  targets: Parameters<PacketRun["fetch"]>[0],
  options = {},
) {
  setSysctl(run.topology.proxy, PORT_RANGE, `${port} ${port}`);
  const client = await run.fetch(targets, options);
  setSysctl(run.topology.proxy, PORT_RANGE, USUAL_PORTS);
  return client;
}

describe("ports at the ends of their range", () => {
  it.each([1_024, 65_535])("are as good as others: %i", async (port) => {
    const run = await PacketRun.start("routed", 4);
    const client = await fetchFrom(run, port, [{ down: MB }, { up: MB }], { "bind-port": port });
    expect(client).toMatchObject({ responses: 2, received: MB, wrongAt: -1, end: "fin" });
    expect((await run.served())[0]).toMatchObject({ requests: 2, received: MB, wrongAt: -1, end: "fin" });
    await run.expectLinks(1);
  });
});

/** Bytes each way. New connections begin 15.6 MB further each second, so the connection may come 500 ms too soon. */
const BODY = 8 * MB;
const AHEAD_MS = 300;
/** As many ports as make it likely that one of them has the number within a second. */
const SURVEYED = 400;
/** None is used twice: it may be in TIME_WAIT. */
let unused = 10_000;
const PATIENCE_MS = 700;

type Survey = Record<"sent" | "received", { port: number; at: number }>;

interface Direction {
  name: string;
  /** Who connects, and which of its two directions this is. */
  from: "client" | "proxy";
  of: "sent" | "received";
}

const DIRECTIONS: readonly Direction[] = [
  { name: "client to proxy", from: "client", of: "sent" },
  { name: "proxy to client", from: "client", of: "received" },
  { name: "proxy to backend", from: "proxy", of: "sent" },
  { name: "backend to proxy", from: "proxy", of: "received" },
];

/** Carries bodies over a connection that begins close to the number; false if it came too late for that. */
async function cross(run: PacketRun, { name, from, of }: Direction, number: number): Promise<boolean> {
  const { topology } = run;
  const [host, port] = from === "client" ? [topology.target, 8_080] : [topology.backends[0]!, 9_000];
  const first = unused;
  unused += SURVEYED;
  const args = [host, port, first, unused - 1, number % 2 ** 32, PATIENCE_MS].map(String);
  const survey = JSON.parse(topology[from].run(packetProgram("sequences"), args)) as Survey;
  if (from === "proxy") await run.served(SURVEYED);
  const { port: own, at } = survey[of];
  await delay(at - AHEAD_MS - Date.now());
  const targets = [{ down: BODY }, { up: BODY, seed: 2 }];
  const bound: ClientOptions = { "bind-port": own };
  const client = await (from === "client" ? run.fetch(targets, bound) : fetchFrom(run, own, targets));
  expect(client, name).toMatchObject({ responses: 2, received: BODY, wrongAt: -1, end: "fin" });
  const [server] = await run.served();
  expect(server, name).toMatchObject({ requests: 2, received: BODY, wrongAt: -1, end: "fin" });
  const began = from === "client" ? client.began[of] : server!.began[of === "sent" ? "received" : "sent"];
  return (number - began + 2 ** 32) % 2 ** 32 < BODY;
}

describe("sequence numbers", () => {
  it.each([
    ["wrap", 2 ** 32],
    ["change their sign", 2 ** 31],
  ] as const)("may %s within a link, in each direction", async (_name, number) => {
    const run = await PacketRun.start("routed", 4);
    let links = 0;
    for (const direction of DIRECTIONS) {
      // A busy machine may be late.
      for (let attempt = 1; ; attempt++) {
        links++;
        if (await cross(run, direction, number)) break;
        expect(attempt, direction.name).toBeLessThan(12);
      }
    }
    const counters = await run.expectLinks(links);
    expect(counters.event("spliced")).toBeGreaterThan(0);
  });
});
