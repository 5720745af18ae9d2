/**
 * Load reports in the forms of ORCA (Open Request Cost Aggregation, xds.data.orca.v3.OrcaLoadReport), as Envoy and gRPC
 * know them. Utilizations are fractions, 1 for all that there is; what ORCA has no field for is among `named_metrics`.
 */
import type { ReportedFigure } from "../policy/load-layout.js";
import type { LoadFigures } from "./load-report.js";

/** The response header that backends report in. */
export const ORCA_HEADER = "endpoint-load-metrics";

/** By figure, the name in the text form. */
const NAMES: Readonly<Record<ReportedFigure, string>> = {
  cpu: "cpu_utilization",
  memory: "mem_utilization",
  utilization: "application_utilization",
  io: "named_metrics.io",
  tcpConnections: "named_metrics.tcp_connections",
  activeSockets: "named_metrics.active_sockets",
  queue: "named_metrics.queue",
};

const FIGURES: ReadonlyMap<string, ReportedFigure> = new Map(
  Object.entries(NAMES).map(([figure, name]) => [name, figure as ReportedFigure]),
);

const NAMED = "named_metrics";

/**
 * Reads the value of the header: `TEXT cpu_utilization=0.3, named_metrics.queue=7` (or without the word), or `JSON {...}`.
 * What we have no use for is passed over, and so is a value that is no number from 0 up. Undefined if nothing of it is
 * left; the binary form is not read.
 */
export function parseOrca(value: string): LoadFigures | undefined {
  const [, form = "", body = ""] = /^\s*(TEXT\s|JSON\s)?(.*)$/is.exec(value) ?? [];
  const json = form === "" ? body.startsWith("{") : form.toUpperCase().startsWith("JSON");
  return json ? parseOrcaJson(body) : parseText(body);
}

/** Reads a report as JSON: `{"cpu_utilization":0.3,"named_metrics":{"queue":7}}`, or the same names in camel case. Otherwise as `parseOrca`. */
export function parseOrcaJson(text: string): LoadFigures | undefined {
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch {
    return undefined;
  }
  const figures: LoadFigures = {};
  for (const [key, value] of entries(report)) {
    const name = snakeCase(key);
    if (name !== NAMED) put(figures, name, value);
    else for (const [metric, number] of entries(value)) put(figures, `${NAMED}.${metric}`, number);
  }
  return someOf(figures);
}

/** The same as JSON, for `parseOrcaJson`. */
export function formatOrcaJson(figures: LoadFigures): string {
  const report: Record<string, number | Record<string, number>> = {};
  const named: Record<string, number> = {};
  for (const [figure, name] of Object.entries(NAMES)) {
    const value = figures[figure as ReportedFigure];
    if (value === undefined) continue;
    if (name.startsWith(`${NAMED}.`)) named[name.slice(NAMED.length + 1)] = value;
    else report[name] = value;
  }
  return JSON.stringify({ ...report, [NAMED]: named });
}

/** Older senders write `name:value`. */
function parseText(text: string): LoadFigures | undefined {
  const figures: LoadFigures = {};
  for (const part of text.split(",")) {
    const [, name = "", value = ""] = /^\s*([^=:\s]+)\s*[=:]\s*(\S+)\s*$/.exec(part) ?? [];
    put(figures, name, /^[\d.]/.test(value) ? Number(value) : undefined);
  }
  return someOf(figures);
}

function put(figures: LoadFigures, name: string, value: unknown): void {
  const figure = FIGURES.get(name);
  if (figure === undefined || typeof value !== "number") return;
  if (value >= 0 && Number.isFinite(value)) figures[figure] = value;
}

function someOf(figures: LoadFigures): LoadFigures | undefined {
  return Object.keys(figures).length === 0 ? undefined : figures;
}

function entries(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
