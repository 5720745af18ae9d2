import { styleText } from "node:util";
import type { DoctorReport } from "../dataplane/probe.js";
import { table } from "./table.js";

/** The report for people: what works, what does not, and what to do about it. */
export function renderDoctor(report: DoctorReport, colour: boolean): string {
  const mark = marks(colour);
  const { addon } = report;
  const engines = report.engines.flatMap((engine) => {
    const row = `${mark(engine.usable)} ${engine.name.padEnd(widest(report.engines))}`;
    const reason = engine.usable ? "usable" : (engine.reason ?? "not usable");
    const line = `  ${row}  ${reason}`;
    const indent = " ".repeat(widest(report.engines) + 6);
    return engine.remedy === undefined ? [line] : [line, `${indent}${engine.remedy}`];
  });
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
