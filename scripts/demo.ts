/** `npm run demo`: real requests through the real program, and what came of them. */
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { styleText } from "node:util";
import { request } from "undici";
import {
  type Cleanup,
  type RunningOrigin,
  type RunningProxy,
  startOrigin,
  startProxy,
} from "./demo-processes.js";
import { addLoad, type LoadResult, measureLoad, newLoadTotal } from "./keep-alive-load.js";

const timesEach = 6;
const loadConnections = 32;
const loadSeconds = 3;
/** Before each measurement, so that no row pays for the compilation of the other's code. */
const warmUpSeconds = 0.5;

type Style = Parameters<typeof styleText>[0];
const paint = (style: Style, text: string) => (process.stdout.isTTY ? styleText(style, text) : text);
const print = (text: string) => console.log(text);
const heading = (text: string) => print(`\n${paint("bold", text)}`);

/** Names of the origins that each pool has. */
const pools = { api: ["alpha", "beta"], pages: ["alpha", "beta", "gamma"] };

/** Two routes over three origins: one spreads requests, the other keeps each URL on one origin. */
function configuration(origins: readonly RunningOrigin[]): string {
  const backends = (pool: keyof typeof pools) =>
    origins
      .filter(({ name }) => pools[pool].includes(name))
      .map(({ port }) => `{ address: "127.0.0.1:${port}" }`)
      .join(", ");
  return `listeners:
  - address: 127.0.0.1:0
routes:
  - match: { path: /api/ }
    pool: api
    setRequestHeaders: { x-forwarded-for: "{client.address}" }
  - match: {}
    pool: pages
pools:
  api:
    policy: round-robin
    backends: [${backends("api")}]
  pages:
    policy: uri-hash
    backends: [${backends("pages")}]
admin: { address: 127.0.0.1:0 }
`;
}

interface SampleRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly pool: keyof typeof pools;
  readonly body?: string;
}

const order = JSON.stringify({ item: "rope", metres: 40 });
const loadSample: SampleRequest = { method: "GET", path: "/static/logo.svg", pool: "pages" };
const samples: readonly SampleRequest[] = [
  { method: "GET", path: "/api/users?page=1", pool: "api" },
  { method: "POST", path: "/api/orders", pool: "api", body: order },
  { method: "GET", path: "/", pool: "pages" },
  { method: "GET", path: "/about", pool: "pages" },
  loadSample,
  { method: "GET", path: "/static/intro.mp4", pool: "pages" },
];

/** Sends the request and returns the name of the origin that answered; throws if the answer is not that to it. */
async function send(listener: string, { method, path, pool, body }: SampleRequest): Promise<string> {
  const response = await request(`http://${listener}${path}`, { method, body: body ?? null });
  const answer = await response.body.text();
  const origin = String(response.headers["x-origin"]);
  const expected = path.startsWith("/static/")
    ? answer.length === Number(response.headers["content-length"])
    : answer === JSON.stringify({ origin, method, path, received: body?.length ?? 0 });
  if (response.statusCode !== 200 || !expected) {
    throw new Error(`unexpected answer ${response.statusCode}: ${answer.slice(0, 200)}`);
  }
  if (!pools[pool].includes(origin))
    throw new Error(`answered by ${origin}, which is not in the pool ${pool}`);
  return origin;
}

/** Sends every sample request some times, prints who answered it and which engine carried it; returns failures. */
async function sendSamples(proxy: RunningProxy): Promise<number> {
  heading(`${samples.length * timesEach} requests, ${timesEach} of each kind`);
  print(paint("dim", `  ${"request".padEnd(24)}${"pool".padEnd(8)}${"engine".padEnd(13)}served by`));
  let failures = 0;
  for (const sample of samples) {
    const served = new Map<string, number>();
    const before = await forwardedBytes(proxy);
    for (let time = 0; time < timesEach; time++) {
      try {
        const origin = await send(proxy.listener, sample);
        served.set(origin, (served.get(origin) ?? 0) + 1);
      } catch (error) {
        failures++;
        print(
          paint(
            "red",
            `  ${sample.method} ${sample.path}: ${error instanceof Error ? error.message : error}`,
          ),
        );
      }
    }
    const after = await forwardedBytes(proxy);
    const engines = [...after.keys()].filter((name) => total(after, name) > total(before, name));
    const name = `${sample.method} ${sample.path}`.padEnd(24);
    const origins = [...served].sort().map(([origin, count]) => `${paint("cyan", origin)} ${count}`);
    print(`  ${name}${sample.pool.padEnd(8)}${engines.join("+").padEnd(13)}${origins.join("  ")}`);
  }
  return failures;
}

type EngineBytes = Map<string, { upstream: number; downstream: number }>;

const total = (engines: EngineBytes, name: string) => {
  const { upstream = 0, downstream = 0 } = engines.get(name) ?? {};
  return upstream + downstream;
};

/** The proxy's own count of the bytes that each engine has moved. */
async function forwardedBytes({ admin }: RunningProxy): Promise<EngineBytes> {
  const { body } = await request(`http://${admin}/metrics`);
  const engines: EngineBytes = new Map();
  for (const line of (await body.text()).split("\n")) {
    const [, labels = "", value] = /^longsplice_forwarded_bytes_total\{(.*)\} (\S+)/.exec(line) ?? [];
    const engine = /engine="(.*?)"/.exec(labels)?.[1];
    if (engine === undefined) continue;
    const entry = engines.get(engine) ?? { upstream: 0, downstream: 0 };
    entry[labels.includes('direction="upstream"') ? "upstream" : "downstream"] += Number(value);
    engines.set(engine, entry);
  }
  return engines;
}

function bytes(count: number): string {
  if (count < 10_000) return `${count} B`;
  return count < 10_000_000 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

async function printEngines(proxy: RunningProxy): Promise<void> {
  const engines = await forwardedBytes(proxy);
  heading("Bytes moved, all in all");
  print(paint("dim", `  ${"engine".padEnd(10)}${"to backends".padStart(14)}${"to clients".padStart(14)}`));
  for (const [name, { upstream, downstream }] of engines) {
    print(`  ${name.padEnd(10)}${bytes(upstream).padStart(14)}${bytes(downstream).padStart(14)}`);
  }
  if ([...engines.keys()].every((name) => total(engines, name) === 0)) {
    throw new Error("the proxy's metrics know of no forwarded bytes");
  }
}

/**
 * The same client straight to the origin that serves the URL and through the proxy, in turns of a second, so that
 * whatever else the machine does meanwhile hits both alike. Returns failures.
 */
async function measure(origins: readonly RunningOrigin[], proxy: RunningProxy): Promise<number> {
  const name = await send(proxy.listener, loadSample);
  const origin = origins.find((origin) => origin.name === name);
  if (origin === undefined) throw new Error(`no origin is called ${name}`);
  heading(
    `Throughput: GET ${loadSample.path}, 16 KiB, ${loadConnections} connections, ${loadSeconds} s each`,
  );
  const direct = newLoadTotal();
  const proxied = newLoadTotal();
  const targets = [
    [`127.0.0.1:${origin.port}`, direct],
    [proxy.listener, proxied],
  ] as const;
  for (const [address] of targets)
    await measureLoad(address, loadSample.path, loadConnections, warmUpSeconds);
  for (let second = 0; second < loadSeconds; second++) {
    for (const [address, sum] of targets) {
      addLoad(sum, await measureLoad(address, loadSample.path, loadConnections, 1));
    }
  }
  const rate = ({ requests, seconds }: LoadResult) => requests / seconds;
  const line = (what: string, result: LoadResult, ratio = "") => {
    const requests = Math.round(rate(result)).toString().padStart(8);
    const megabytes = (result.bytes / result.seconds / 1e6).toFixed(0).padStart(6);
    print(`  ${what.padEnd(18)}${requests} requests/s ${megabytes} MB/s${paint("bold", ratio)}`);
  };
  line(`direct to ${name}`, direct);
  line("through longsplice", proxied, `   ${(rate(proxied) / rate(direct)).toFixed(2)} x direct`);
  print(
    paint("dim", "  Client, origin and proxy share this machine's cores: compare the rows, not the numbers."),
  );
  return direct.failures + proxied.failures;
}

async function demo(stay: boolean, cleanups: Cleanup[]): Promise<void> {
  const origins = await Promise.all(pools.pages.map((name) => startOrigin(name, cleanups)));
  const folder = mkdtempSync(join(tmpdir(), "longsplice-demo-"));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const configFile = join(folder, "longsplice.yaml");
  writeFileSync(configFile, configuration(origins));
  const proxy = await startProxy(configFile, cleanups);

  heading("Running");
  for (const { name, port } of origins) {
    print(`  origin ${paint("cyan", name.padEnd(6))} http://127.0.0.1:${port}/`);
  }
  print(`  proxy         http://${proxy.listener}/`);
  print(`  admin         http://${proxy.admin}/`);
  const failures = (await sendSamples(proxy)) + (await measure(origins, proxy));
  await printEngines(proxy);
  if (failures > 0) throw new Error(`${failures} requests failed`);
  print(paint("green", "\nEvery request was answered, and by a backend of its route."));
  if (stay) {
    print(`\nStill running, configured by ${configFile}:`);
    print(`  proxy  http://${proxy.listener}/\n  admin  http://${proxy.admin}/\nCtrl-C ends it.`);
    process.exitCode = 0; // from here on an interrupt is the expected end
    await proxy.exited;
  }
}

/** Reports what the step throws and goes on: a failed demo still has to stop what it started. */
async function attempt(step: () => unknown): Promise<void> {
  try {
    await step();
  } catch (error) {
    console.error(paint("red", `demo: ${error instanceof Error ? error.message : error}`));
    process.exitCode = 1;
  }
}

const unknown = process.argv.slice(2).find((argument) => argument !== "--stay");
const cleanups: Cleanup[] = [];
const interrupted = Promise.race(["SIGINT", "SIGTERM"].map((signal) => once(process, signal)));
await attempt(async () => {
  if (unknown !== undefined) throw new Error(`unknown argument ${unknown} (known: --stay)`);
  const finished = demo(process.argv.includes("--stay"), cleanups);
  const first = await Promise.race([finished.then(() => "finished"), interrupted]);
  if (first !== "finished" && process.exitCode === undefined) throw new Error("interrupted");
});
for (const cleanup of cleanups.reverse()) await attempt(cleanup);
// After an interrupt a measurement may still be under way; nothing is left that it could tell.
process.exit();
