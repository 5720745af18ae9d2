/** Writes the result files. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ratioPlot, throughputPlot } from "./plot.js";
import { groupsOf, markdown, type Results } from "./report.js";
import { subjects } from "./run-cells.js";

/** A name that no results in the folder have yet: `2026-01-31-full`, `2026-01-31-full-2`, ... */
export function freeName(folder: string, date: string, what: string): string {
  const name = `${date.slice(0, 10)}-${what}`;
  let candidate = name;
  for (let number = 2; existsSync(join(folder, `${candidate}.json`)); number++)
    candidate = `${name}-${number}`;
  return candidate;
}

/** Writes JSON, Markdown and plots to the folder, all beginning with the name; returns the Markdown. */
export function saveResults(results: Results, folder: string, name: string): string {
  mkdirSync(folder, { recursive: true });
  const plots = new Map<string, string[]>();
  for (const [group, cells] of groupsOf(results.cells)) {
    const files: string[] = [];
    for (const [kind, plot] of [
      ["throughput", throughputPlot(group, cells)],
      ...subjects.map((of) => [`${of}-ratio`, ratioPlot(group, cells, of)] as const),
    ] as const) {
      if (plot === undefined) continue;
      const file = `${name}-${group.replaceAll("/", "-")}-${kind}.svg`;
      writeFileSync(join(folder, file), plot);
      files.push(file);
    }
    plots.set(group, files);
  }
  for (const { name: scenario, plots: drawn = {} } of results.scenarios) {
    const files = Object.entries(drawn).map(([what, plot]) => {
      const file = `${name}-${scenario}-${what}.svg`;
      writeFileSync(join(folder, file), plot);
      return file;
    });
    plots.set(scenario, files);
  }
  const text = markdown(results, plots);
  const scenarios = results.scenarios.map(({ plots: _drawn, ...figures }) => figures);
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify({ ...results, scenarios }, null, 1)}\n`);
  writeFileSync(join(folder, `${name}.md`), text);
  return text;
}
