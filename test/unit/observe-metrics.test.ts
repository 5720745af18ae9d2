import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { Metrics } from "../../src/observe/metrics.js";
import type { BackendState, HistogramSnapshot, WorkerSnapshot } from "../../src/observe/snapshot.js";

interface Family {
  help: string;
  type: string;
  series: { name: string; labels: Record<string, string>; value: number }[];
}

/** A strict reader of the text format, written from its specification; it refuses what a scraper would refuse. */
function parse(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  let current: Family | undefined;
  let name = "";
  expect(text.endsWith("\n")).toBe(true);
  for (const line of text.split("\n").filter((l) => l !== "")) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (comment?.[1] === "HELP") {
      name = comment[2] as string;
      if (families.has(name)) throw new Error(`${name} appears twice`);
      current = { help: comment[3] as string, type: "", series: [] };
      families.set(name, current);
    } else if (comment && current && comment[2] === name) {
      current.type = comment[3] as string;
    } else {
      current?.series.push(parseSeries(line, name));
    }
  }
  return families;
}

function parseSeries(line: string, family: string): Family["series"][number] {
  const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (!match?.[1]?.startsWith(family)) throw new Error(`not a series of ${family}: ${line}`);
  const labels: Record<string, string> = {};
  const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/gy;
  const text = match[2] ?? "";
  while (label.lastIndex < text.length) {
    const found = label.exec(text);
    if (found === null) throw new Error(`bad labels: ${line}`);
    labels[found[1] as string] = (found[2] as string).replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
  }
  return { name: match[1], labels, value: Number((match[3] as string).replace("Inf", "Infinity")) };
}

const histogram: HistogramSnapshot = { bounds: [0.001, 0.01, 0.1], counts: [4, 0, 2, 1], sum: 1.5, count: 7 };

const worker: WorkerSnapshot = {
  requests: [
    { route: 'a"b\\c\nd', pool: "api", backend: "127.0.0.1:1", code: 200, count: 5 },
    { route: "*", pool: "api", backend: "", code: 0, count: 2 },
  ],
  listeners: [{ address: "127.0.0.1:8080", accepted: 10, active: 3 }],
  bytes: [{ engine: "copy", direction: "downstream", count: 1e12 }],
  fallbacks: [{ from: "packet", to: "copy", reason: "no-privilege", count: 1 }],
  linksActive: 2,
  records: { free: 7, ended: 8 },
  linksEnded: [
    { end: "finished", count: 7 },
    { end: "idle", count: 1 },
  ],
  retries: [{ reason: "connect", count: 3 }],
  retriesRefused: 2,
  requestSeconds: histogram,
  decisionSeconds: histogram,
  policyErrors: [{ pool: "api", kind: "threw", count: 4 }],
  idleUpstream: 6,
  logDropped: 1,
};

const backend = (address: string, health: BackendState["health"]): BackendState => ({
  pool: "api",
  address,
  health,
  reason: "",
  weight: 2,
  weightPercent: 25,
  active: 1,
  requests: 9,
  errors: 0,
  connections: 3,
  ewmaMicros: 2500,
  load: { cpu: 0.25, queue: 3 },
  ejections: { failures: 3, latency: 0 },
});

let workers: WorkerSnapshot[];
let metrics: Metrics;

beforeEach(() => {
  workers = [worker, worker];
  const states = ["unknown", "healthy", "unhealthy", "draining"] as const;
  const source = {
    snapshot: async () => workers,
    backends: () => states.map((health) => backend(`${health}:80`, health)),
    logDropped: () => 5,
    packetCounters: () => ({ spliced: 1e9, bad_peer: 0 }),
    discovery: () => [{ source: "dns app:80", result: "failed", count: 3 }],
  };
  metrics = new Metrics(source, "1.2.3");
});

async function scrape(): Promise<Map<string, Family>> {
  return parse(await metrics.text());
}

/** The values of a metric by the given label. */
function by(family: Family | undefined, label: string): Record<string, number> {
  return Object.fromEntries((family?.series ?? []).map((s) => [s.labels[label], s.value]));
}

describe("the metrics", () => {
  it("have help, a type and the labels of the contract", async () => {
    const families = await scrape();
    for (const [name, family] of families) {
      expect(family.help, name).not.toBe("");
      expect(family.type, name).toMatch(/^(counter|gauge|histogram)$/);
    }
    const labelsOf = (name: string) => Object.keys(families.get(name)?.series[0]?.labels ?? {});
    expect(labelsOf("longsplice_requests_total")).toEqual(["route", "pool", "backend", "code"]);
    expect(labelsOf("longsplice_connections_total")).toEqual(["listener"]);
    expect(labelsOf("longsplice_connections_active")).toEqual(["listener"]);
    expect(labelsOf("longsplice_forwarded_bytes_total")).toEqual(["engine", "direction"]);
    expect(labelsOf("longsplice_engine_fallback_total")).toEqual(["from", "to", "reason"]);
    expect(labelsOf("longsplice_backend_healthy")).toEqual(["pool", "backend"]);
  });

  it("add the workers up and keep label values intact", async () => {
    const families = await scrape();
    expect(by(families.get("longsplice_requests_total"), "route")).toEqual({ 'a"b\\c\nd': 10, "*": 4 });
    expect(by(families.get("longsplice_requests_total"), "code")).toEqual({ "200": 10, "0": 4 });
    expect(by(families.get("longsplice_connections_active"), "listener")).toEqual({ "127.0.0.1:8080": 6 });
    expect(by(families.get("longsplice_forwarded_bytes_total"), "engine")).toEqual({ copy: 2e12 });
    expect(families.get("longsplice_links_active")?.series[0]?.value).toBe(4);
    expect(by(families.get("longsplice_records"), "state")).toEqual({ free: 14, ended: 16 });
    expect(by(families.get("longsplice_links_total"), "end")).toEqual({ finished: 14, idle: 2 });
    expect(by(families.get("longsplice_packet_total"), "event")).toEqual({ spliced: 1e9, bad_peer: 0 });
    expect(families.get("longsplice_upstream_idle")?.series[0]?.value).toBe(12);
    expect(families.get("longsplice_log_dropped_total")?.series[0]?.value).toBe(7);
  });

  it("are read anew at every scrape", async () => {
    await scrape();
    workers = [{ ...worker, requests: [] }];
    const families = await scrape();
    expect(families.get("longsplice_requests_total")?.series).toEqual([]);
    expect(by(families.get("longsplice_connections_total"), "listener")).toEqual({ "127.0.0.1:8080": 10 });
  });

  it.each(["longsplice_request_seconds", "longsplice_decision_seconds"])(
    "show %s as cumulative buckets",
    async (name) => {
      const family = (await scrape()).get(name);
      expect(family?.type).toBe("histogram");
      const buckets = family?.series.filter((s) => s.name === `${name}_bucket`);
      expect(buckets?.map((s) => [s.labels.le, s.value])).toEqual([
        ["0.001", 8],
        ["0.01", 8],
        ["0.1", 12],
        ["+Inf", 14],
      ]);
      expect(family?.series.slice(-2)).toEqual([
        { name: `${name}_sum`, labels: {}, value: 3 },
        { name: `${name}_count`, labels: {}, value: 14 },
      ]);
    },
  );

  it("show what may get new exchanges as healthy", async () => {
    const families = await scrape();
    expect(by(families.get("longsplice_backend_ejections_total"), "reason")).toEqual({
      failures: 3,
      latency: 0,
    });
    expect(by(families.get("longsplice_backend_weight"), "pool")).toEqual({ api: 0.5 });
    expect(by(families.get("longsplice_backend_healthy"), "backend")).toEqual({
      "unknown:80": 1,
      "healthy:80": 1,
      "unhealthy:80": 0,
      "draining:80": 0,
    });
    expect(by(families.get("longsplice_backend_latency_seconds"), "backend")["healthy:80"]).toBe(0.0025);
  });

  it("fail as a whole when the workers do, and work again afterwards", async () => {
    let fail = true;
    const source = {
      snapshot: async () => {
        if (fail) throw new Error("worker 1 is gone");
        return [worker];
      },
      backends: () => [],
      logDropped: () => 0,
      discovery: () => [],
      packetCounters: () => ({}),
    };
    const flaky = new Metrics(source, "1.2.3");
    await expect(flaky.text()).rejects.toThrow("worker 1 is gone");
    fail = false;
    expect(parse(await flaky.text()).get("longsplice_build_info")?.series[0]?.labels.version).toBe("1.2.3");
  });

  it("are all in docs/metrics.md with type and labels, and nothing else is", async () => {
    const page = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
    const documented = new Map(
      [...page.matchAll(/^\| `(longsplice_\w+)` \| (\w+) \| (.*?) \| .+ \|$/gm)].map(
        ([, name, type, labels]) => [
          name,
          `${type} ${[...(labels as string).matchAll(/`(\w+)`/g)].map((m) => m[1]).join(",")}`,
        ],
      ),
    );
    const served = new Map(
      [...(await scrape())]
        .filter(([name]) => name.startsWith("longsplice_"))
        .map(([name, { type, series }]) => {
          const labels = type === "histogram" ? [] : Object.keys(series[0]?.labels ?? {});
          return [name, `${type} ${labels.join(",")}`];
        }),
    );
    expect(documented).toEqual(served);
  });
});
