import { styleText } from "node:util";
import type { DoctorReport, EngineReport } from "../dataplane/probe.js";
import { table } from "./table.js";

/** The report for people: what works, what does not, and what to do about it. */
export function renderDoctor(report: DoctorReport, colour: boolean): string {
  const mark = marks(colour);
  const { addon } = report;
  const engines = report.engines.map((engine) => engineLines(engine, widest(report.engines), mark));
  const capabilities = report.capabilities.map(({ name, held }) => `  ${mark(held)} ${name}`);
  const limits = report.limits.map(({ name, value, advice }) => [name, String(value), advice ?? ""]);
  const system = [
    ["node", report.node],
    ["kernel", report.kernel],
    ["arch", report.arch],
  ];
  return [
    section("system", table(system, "  "), colour),
    section("addon", `  ${mark(addon.ok)} ${addon.detail}`, colour),
    section("engines", engines.join("\n"), colour),
    section("capabilities", capabilities.join("\n"), colour),
    section("limits", table(limits, "  "), colour),
  ].join("\n\n");
}

/** An engine with what is to be said about it; a kernel's refusal has many lines, and all of them matter. */
function engineLines(engine: EngineReport, width: number, mark: (good: boolean) => string): string {
  const { name, usable, hooks, reason, remedy } = engine;
  const verdict = usable ? `usable${hooks === undefined ? "" : `, by ${hooks} hooks`}` : reason;
  const text = [verdict ?? "not usable", ...(remedy === undefined ? [] : [remedy])].join("\n");
  const indent = " ".repeat(width + 6);
  return `  ${mark(usable)} ${name.padEnd(width)}  ${text.replaceAll("\n", `\n${indent}`)}`;
}

function section(title: string, body: string, colour: boolean): string {
  return `${paint("bold", title, colour)}\n${body === "" ? "  none" : body}`;
}

function marks(colour: boolean): (good: boolean) => string {
  return (good) => (good ? paint("green", "✓", colour) : paint("red", "✗", colour));
}

/** Whether to colour is decided by the caller, so styleText must not look at the stream again. */
function paint(style: "bold" | "green" | "red", text: string, colour: boolean): string {
  return colour ? styleText(style, text, { validateStream: false }) : text;
}

function widest(rows: readonly { readonly name: string }[]): number {
  return Math.max(0, ...rows.map(({ name }) => name.length));
}
