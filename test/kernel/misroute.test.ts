/**
 * No request reaches a backend that its own head does not route to, however heads come: at least 200,000 mixed requests
 * (test/support/mixed-requests.ts) over many connections, compared with a reference router. Every backend says what it got, and
 * the client checks that each answer is that to its request, in order, whole, and from the right pool.
 */
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import type { BackendRecord, ClientReport } from "../support/mixed-program.js";
import { digestOf, type MixedRequest, mixedConnection, ROUTES } from "../support/mixed-requests.js";
import type { Namespace } from "../support/netns.js";
import { PacketProxy } from "../support/packet-proxy.js";
import { Topology, withPort } from "../support/packet-topology.js";
import { placeOf, poolOf } from "../support/reference-router.js";
import { SEED } from "../support/seed.js";
import { within } from "../support/wait.js";

const REQUESTS = 200_000;
const PROGRAM = fileURLToPath(new URL("../support/mixed-program.ts", import.meta.url));
const POOLS = [...new Set(ROUTES.map(({ pool }) => pool))];
/** Two for each pool. */
const BACKENDS = POOLS.flatMap((pool, index) =>
  ["a", "b"].map((name, second) => ({ pool, name, port: 9_000 + 2 * index + second })),
);

function start(space: Namespace, args: readonly string[]) {
  const child = space.start(process.execPath, ["--import", "tsx", PROGRAM, ...args]);
  return { child, lines: createInterface({ input: child.stdout! }) };
}

/** Starts the backends; the result stops them and tells what they got. */
async function startBackends(space: Namespace): Promise<() => Promise<BackendRecord[]>> {
  const folder = mkdtempSync(join(tmpdir(), "longsplice-misroute-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "records");
  const names = BACKENDS.map(({ pool, name, port }) => `${pool}/${name}=${port}`);
  const { child, lines } = start(space, ["backends", file, ...names]);
  await within(once(lines, "line"), 45_000, "the backends' start");
  return async () => {
    const ended = once(child, "close");
    child.kill("SIGTERM");
    await within(ended, 45_000, "the backends' end");
    const records = readFileSync(file, "utf8").trim().split("\n");
    return records.map((record) => JSON.parse(record) as BackendRecord);
  };
}

async function play(space: Namespace, target: string): Promise<ClientReport> {
  const { lines } = start(space, ["client", target, "8080", String(SEED), String(REQUESTS)]);
  return JSON.parse((await within(once(lines, "line"), 200_000, "the client's end"))[0]) as ClientReport;
}

/** What is wrong with a request as a backend got it. */
function complaint(record: BackendRecord, sent: MixedRequest | undefined): string | undefined {
  const [pool, , method, target, fields, digest] = record;
  const head = { method, target, fields };
  if (poolOf(ROUTES, head) !== pool) return "its head belongs elsewhere";
  if (sent === undefined) return "nobody sent it, or it came before";
  if (!("pool" in sent.goes) || sent.goes.pool !== pool) return `was sent for ${JSON.stringify(sent.goes)}`;
  const place = placeOf(head);
  const same = method === sent.method && place.authority === sent.authority && place.target === sent.target;
  return same && digest === digestOf(sent.body) ? undefined : "was changed";
}

/** What is wrong at the backends: that they got each request that belongs to them, once and unchanged, and nothing else. */
function complaints(records: readonly BackendRecord[], connections: number): string[] {
  const expected = new Map<string, MixedRequest>();
  for (let connection = 0; connection < connections; connection++) {
    for (const request of [...mixedConnection(SEED, connection)].flat()) {
      if ("pool" in request.goes) expected.set(request.id, request);
    }
  }
  const found: string[] = [];
  for (const record of records) {
    const id = record[4].find(([name]) => name === "x-id")?.[1] ?? "";
    const wrong = complaint(record, expected.get(id));
    if (wrong !== undefined) found.push(`${JSON.stringify(record)}: ${wrong}`);
    expected.delete(id);
  }
  for (const id of expected.keys()) found.push(`${id} did not arrive`);
  return found;
}

it.each([
  ["copy", "exchange"],
  ["packet", "exchange"],
  ["packet", "request"],
  ["packet", "connection"],
])(
  `no request of ${REQUESTS} goes astray by engine %s and forward %s (seed ${SEED})`,
  async (engine, forward) => {
    const topology = await Topology.make("routed", 4);
    const stopBackends = await startBackends(topology.backend);
    const address = (port: number) => ({ address: withPort(topology.backends[0]!, port) });
    const proxy = await PacketProxy.start(topology.proxy, {
      listen: topology.listen,
      backends: [],
      config: {
        engine,
        forward,
        routes: ROUTES,
        pools: Object.fromEntries(
          POOLS.map((name) => {
            const own = BACKENDS.filter(({ pool }) => pool === name);
            return [name, { backends: own.map(({ port }) => address(port)) }];
          }),
        ),
      },
    });

    const report = await play(topology.client, topology.target);
    expect(report.complaints).toEqual([]);
    expect(report.requests).toBeGreaterThanOrEqual(REQUESTS);
    const counters = await proxy.quietCounters();
    expect(counters.impossible).toEqual([]);
    // The test shows something only where much of it passed, and much came back.
    if (forward === "connection") expect(counters.event("judged")).toBeGreaterThan(REQUESTS / 10);
    if (forward === "connection" || forward === "request")
      expect(counters.event("returned")).toBeGreaterThan(REQUESTS / 10);
    await proxy.stop();
    expect(complaints(await stopBackends(), report.connections).slice(0, 20)).toEqual([]);
  },
  300_000,
);
