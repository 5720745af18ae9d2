import { arch, release } from "node:os";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { HistogramMetric, Observed, ValueMetric } from "./metric-catalog.js";
import { histogramMetrics, valueMetrics } from "./metric-catalog.js";
import type { HistogramSnapshot, MetricsSource } from "./snapshot.js";
import { readSnapshot } from "./snapshot.js";

/** How often the main thread's event-loop delay is sampled; finer would wake an idle process for nothing. */
const EVENT_LOOP_SAMPLE_MS = 100;

/**
 * Serves what the workers counted in the Prometheus text format. Nothing is counted here: each scrape asks the
 * workers, adds them up and fills the registry anew, so no request of the data plane ever waits for prom-client.
 */
export class Metrics {
  /** Value of the Content-Type header that belongs to {@link Metrics.text}. */
  readonly contentType: string;
  readonly #source: MetricsSource;
  readonly #registry = new Registry();
  #observed: Observed | undefined;
  #lastScrape: Promise<unknown> = Promise.resolve();

  /** @param version of the running longsplice, for `longsplice_build_info` */
  constructor(source: MetricsSource, version: string) {
    this.#source = source;
    this.contentType = this.#registry.contentType;
    const observed = (): Observed | undefined => this.#observed;
    for (const metric of valueMetrics) defineValue(this.#registry, metric, observed);
    for (const metric of histogramMetrics) {
      this.#registry.registerMetric(new SnapshotHistogram(metric, observed));
    }
    defineBuildInfo(this.#registry, version);
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS });
  }

  /**
   * Asks the workers and renders all metrics. Scrapes run one after the other, because they share the registry.
   * @throws Error when a worker does not report in time
   */
  text(): Promise<string> {
    const scrape = async (): Promise<string> => {
      const workers = await readSnapshot(this.#source);
      this.#observed = {
        workers,
        backends: this.#source.backends(),
        logDropped: this.#source.logDropped(),
        packet: this.#source.packetCounters(),
        discovery: this.#source.discovery(),
      };
      return this.#registry.metrics();
    };
    const text = this.#lastScrape.then(scrape, scrape);
    this.#lastScrape = text.catch(() => undefined);
    return text;
  }
}

function defineValue(registry: Registry, metric: ValueMetric, observed: () => Observed | undefined): void {
  const { name, help } = metric;
  const settings = {
    name,
    help,
    labelNames: [...metric.labels],
    registers: [registry],
    collect(this: Counter | Gauge): void {
      this.reset();
      const now = observed();
      if (now === undefined) return;
      for (const [labels, value] of metric.series(now)) this.inc(labels, value);
    },
  };
  if (metric.kind === "counter") new Counter(settings);
  else new Gauge(settings);
}

function defineBuildInfo(registry: Registry, version: string): void {
  const labels = { version, node: process.version, kernel: release(), arch: arch() };
  new Gauge({
    name: "longsplice_build_info",
    help: "Always 1; the labels say what is running.",
    labelNames: Object.keys(labels),
    registers: [registry],
  }).set(labels, 1);
}

/**
 * A histogram whose buckets come from the workers. prom-client's own can only be fed observation by observation, so
 * this one answers the registry's question itself.
 */
class SnapshotHistogram extends Histogram {
  readonly #metric: HistogramMetric;
  readonly #observed: () => Observed | undefined;

  constructor(metric: HistogramMetric, observed: () => Observed | undefined) {
    super({ name: metric.name, help: metric.help, registers: [] });
    this.#metric = metric;
    this.#observed = observed;
  }

  /** The form that the registry reads; without it, it would ask the (always empty) base class. */
  getForPromString(): ReturnType<Histogram["get"]> {
    return this.get();
  }

  override async get(): ReturnType<Histogram["get"]> {
    const now = this.#observed();
    const { name, help } = this.#metric;
    const values = now === undefined ? [] : histogramSeries(name, this.#metric.histogram(now));
    // The declared type of `type` and `aggregator` is a numeric enum; the registry wants prom-client's words.
    return { name, help, type: "histogram", aggregator: "sum", values } as unknown as Awaited<
      ReturnType<Histogram["get"]>
    >;
  }
}

/** Cumulative buckets up to `+Inf`, sum and count, as the text format wants them. */
function histogramSeries(name: string, histogram: HistogramSnapshot) {
  let cumulative = 0;
  const buckets = histogram.counts.map((count, i) => {
    cumulative += count;
    const le = histogram.bounds[i] ?? "+Inf";
    return { metricName: `${name}_bucket`, labels: { le }, value: cumulative };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: {}, value: histogram.sum },
    // Workers count while they are read: the buckets are the truth, or the last one could differ from the count.
    { metricName: `${name}_count`, labels: {}, value: cumulative },
  ];
}
