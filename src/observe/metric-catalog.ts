import type { BackendState, DiscoveryCount, HistogramSnapshot, WorkerSnapshot } from "./snapshot.js";

/** All that a scrape can show: the sum over the workers and what the control plane knows itself. */
export interface Observed {
  readonly workers: WorkerSnapshot;
  readonly backends: readonly BackendState[];
  /** Lines that the log of the process lost; those that a worker lost come on top. */
  readonly logDropped: number;
  /** What the packet engine counted, by event. */
  readonly packet: Readonly<Record<string, number>>;
  readonly discovery: readonly DiscoveryCount[];
}

/** One time series: its labels and its value. */
export type Series<L extends string = string> = readonly [labels: Record<L, string>, value: number];

/** A counter or gauge: its name and how to read its series. */
export interface ValueMetric {
  readonly kind: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  series(observed: Observed): Series[];
}

/** A histogram without labels and where its buckets are. */
export interface HistogramMetric {
  readonly name: string;
  readonly help: string;
  histogram(observed: Observed): HistogramSnapshot;
}

/** Checks that the series carry exactly the labels that are declared; the names are inferred from `labels`. */
function value<const L extends string>(metric: {
  kind: "counter" | "gauge";
  name: string;
  help: string;
  labels: readonly L[];
  series(observed: Observed): Series<L>[];
}): ValueMetric {
  return metric;
}

function perBackend(name: string, help: string, read: (backend: BackendState) => number): ValueMetric {
  return value({
    kind: "gauge",
    name,
    help,
    labels: ["pool", "backend"],
    series: ({ backends }) => backends.map((b) => [{ pool: b.pool, backend: b.address }, read(b)]),
  });
}

const traffic: readonly ValueMetric[] = [
  value({
    kind: "counter",
    name: "longsplice_requests_total",
    help: "Exchanges that ended, by the status that the client got; code 0 means none.",
    labels: ["route", "pool", "backend", "code"],
    series: ({ workers }) =>
      workers.requests.map((r) => [
        { route: r.route, pool: r.pool, backend: r.backend, code: String(r.code) },
        r.count,
      ]),
  }),
  value({
    kind: "counter",
    name: "longsplice_connections_total",
    help: "Client connections accepted.",
    labels: ["listener"],
    series: ({ workers }) => workers.listeners.map((l) => [{ listener: l.address }, l.accepted]),
  }),
  value({
    kind: "gauge",
    name: "longsplice_connections_active",
    help: "Client connections that are open now.",
    labels: ["listener"],
    series: ({ workers }) => workers.listeners.map((l) => [{ listener: l.address }, l.active]),
  }),
  value({
    kind: "counter",
    name: "longsplice_forwarded_bytes_total",
    help: "Bytes that an engine moved; downstream is towards the client.",
    labels: ["engine", "direction"],
    series: ({ workers }) =>
      workers.bytes.map((b) => [{ engine: b.engine, direction: b.direction }, b.count]),
  }),
  value({
    kind: "counter",
    name: "longsplice_engine_fallback_total",
    help: "Times that a lesser engine was taken, and why.",
    labels: ["from", "to", "reason"],
    series: ({ workers }) =>
      workers.fallbacks.map((f) => [{ from: f.from, to: f.to, reason: f.reason }, f.count]),
  }),
  value({
    kind: "gauge",
    name: "longsplice_links_active",
    help: "Pairs of connections that the packet engine carries now.",
    labels: [],
    series: ({ workers }) => [[{}, workers.linksActive]],
  }),
  value({
    kind: "gauge",
    name: "longsplice_records",
    help: "Room for more links, which take two records each.",
    labels: ["state"],
    series: ({ workers }) => Object.entries(workers.records).map(([state, count]) => [{ state }, count]),
  }),
  value({
    kind: "counter",
    name: "longsplice_links_total",
    help: "Links that ended, and how.",
    labels: ["end"],
    series: ({ workers }) => workers.linksEnded.map(({ end, count }) => [{ end }, count]),
  }),
  value({
    kind: "counter",
    name: "longsplice_packet_total",
    help: "What became of packets in the programs of the packet engine.",
    labels: ["event"],
    series: ({ packet }) => Object.entries(packet).map(([event, count]) => [{ event }, count]),
  }),
  value({
    kind: "counter",
    name: "longsplice_retries_total",
    help: "Requests that were sent again or to another backend, and why.",
    labels: ["reason"],
    series: ({ workers }) => workers.retries.map(({ reason, count }) => [{ reason }, count]),
  }),
  value({
    kind: "counter",
    name: "longsplice_retries_refused_total",
    help: "Requests that were not sent again because of the pool's budget.",
    labels: [],
    series: ({ workers }) => [[{}, workers.retriesRefused]],
  }),
  value({
    kind: "counter",
    name: "longsplice_discovery_total",
    help: "Look-ups of sources of backends, and what came of them.",
    labels: ["source", "result"],
    series: ({ discovery }) => discovery.map(({ source, result, count }) => [{ source, result }, count]),
  }),
  value({
    kind: "counter",
    name: "longsplice_policy_errors_total",
    help: "Policy calls that threw, took too long or left no candidate.",
    labels: ["pool", "kind"],
    series: ({ workers }) => workers.policyErrors.map((e) => [{ pool: e.pool, kind: e.kind }, e.count]),
  }),
  value({
    kind: "gauge",
    name: "longsplice_upstream_idle",
    help: "Upstream connections that wait in the idle sets.",
    labels: [],
    series: ({ workers }) => [[{}, workers.idleUpstream]],
  }),
  value({
    kind: "counter",
    name: "longsplice_log_dropped_total",
    help: "Log and access-log lines that were lost because their reader was too slow.",
    labels: [],
    series: ({ workers, logDropped }) => [[{}, workers.logDropped + logDropped]],
  }),
];

const backends: readonly ValueMetric[] = [
  perBackend("longsplice_backend_healthy", "1 when the backend may get new exchanges, else 0.", (b) =>
    b.health === "unhealthy" || b.health === "draining" ? 0 : 1,
  ),
  perBackend("longsplice_backend_active", "Exchanges in flight.", (b) => b.active),
  perBackend("longsplice_backend_connections", "Open upstream connections.", (b) => b.connections),
  perBackend(
    "longsplice_backend_weight",
    "Weight in effect.",
    ({ weight, weightPercent }) => (weight * weightPercent) / 100,
  ),
  perBackend(
    "longsplice_backend_latency_seconds",
    "Moving average of the time to the response head.",
    (b) => b.ewmaMicros / 1e6,
  ),
  value({
    kind: "counter",
    name: "longsplice_backend_ejections_total",
    help: "Times that a backend was taken out for how it served requests.",
    labels: ["pool", "backend", "reason"],
    series: ({ backends }) =>
      backends.flatMap(({ pool, address, ejections }) =>
        Object.entries(ejections).map(([reason, count]): Series<"pool" | "backend" | "reason"> => {
          return [{ pool, backend: address, reason }, count];
        }),
      ),
  }),
  value({
    kind: "gauge",
    name: "longsplice_backend_load",
    help: "What the backend reports of its load; no series while that is not known.",
    labels: ["pool", "backend", "figure"],
    series: ({ backends }) =>
      backends.flatMap((b) =>
        Object.entries(b.load).map(
          ([figure, load]): Series<"pool" | "backend" | "figure"> => [
            { pool: b.pool, backend: b.address, figure },
            load,
          ],
        ),
      ),
  }),
];

/** Counters and gauges that are read anew at every scrape. */
export const valueMetrics: readonly ValueMetric[] = [...traffic, ...backends];

/** Histograms that are read anew at every scrape. */
export const histogramMetrics: readonly HistogramMetric[] = [
  {
    name: "longsplice_request_seconds",
    help: "Time from the first byte of a request to the last byte of its response.",
    histogram: ({ workers }) => workers.requestSeconds,
  },
  {
    name: "longsplice_decision_seconds",
    help: "Time from the complete request head to the chosen backend.",
    histogram: ({ workers }) => workers.decisionSeconds,
  },
];
