/** The plots of one group of cells, as SVG text. */
import { sizeText, type TargetName } from "./cells.js";
import { reportedTargets } from "./report.js";
import { type CellResult, type Subject, subjects } from "./run-cells.js";
import { attributes, frame, svgDocument, type Tick, textAt } from "./svg.js";

const targetColors = {
  direct: "grey",
  splice: "violet",
  longsplice: "blue",
  haproxy: "orange",
  nginx: "green",
} as const;

const heightOf = frame.bottom - frame.top;
const widthOf = frame.right - frame.left;

/** The middle of a column of the plot. */
const column = (index: number, count: number) => frame.left + (widthOf * (index + 0.5)) / count;

const columnTicks = (cells: readonly CellResult[]): Tick[] =>
  cells.map(({ cell }, index) => ({ at: column(index, cells.length), label: sizeText(cell.size) }));

/** 950, 2k, 50k, 1.2M */
export function shortNumber(value: number): string {
  const [divided, unit] = value >= 1e6 ? [value / 1e6, "M"] : value >= 1e3 ? [value / 1e3, "k"] : [value, ""];
  return `${Number(divided.toPrecision(3))}${unit}`;
}

/** 1, 2, 5, 10, 20, ...: those that surround and lie between the two values, which must be above 0. */
export function logTicks(lowest: number, highest: number): number[] {
  const steps: number[] = [];
  for (
    let exponent = Math.floor(Math.log10(lowest));
    exponent <= Math.ceil(Math.log10(highest));
    exponent++
  ) {
    for (const digit of [1, 2, 5]) steps.push(digit * 10 ** exponent);
  }
  const first = steps.findLastIndex((step) => step <= lowest);
  const last = steps.findIndex((step) => step >= highest && step > lowest);
  return steps.slice(Math.max(first, 0), last < 0 ? undefined : last + 1);
}

const subtitle = (group: string) => `${group.replaceAll("/", ", ")} origin`;

/** Requests per second over the body size, a line for each target; undefined if no target has a number. */
export function throughputPlot(group: string, cells: readonly CellResult[]): string | undefined {
  const value = (cell: CellResult, name: TargetName) =>
    cell.targets.find(({ target }) => target === name)?.medians?.requestsPerSecond;
  const names = reportedTargets(cells);
  const all = cells.flatMap((cell) => names.flatMap((name) => value(cell, name) ?? []));
  if (all.length === 0) return undefined;
  const ticks = logTicks(Math.min(...all), Math.max(...all));
  const [low = 1, high = 10] = [ticks[0], ticks.at(-1)];
  const y = (amount: number) => frame.bottom - (heightOf * Math.log(amount / low)) / Math.log(high / low);
  // The subjects of it all are drawn last: above the lines that they cross.
  const isSubject = (name: TargetName) => Number(subjects.some((subject) => subject === name));
  const drawn = [...names].sort((a, b) => isSubject(a) - isSubject(b));
  const content = drawn.map((name) => {
    const points = cells.flatMap((cell, index) => {
      const amount = value(cell, name);
      return amount === undefined ? [] : [[column(index, cells.length), y(amount)] as const];
    });
    const path = points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(" ");
    const dots = points.map(([cx, cy]) => `<circle ${attributes({ class: `${name} dot`, cx, cy, r: 5 })}/>`);
    return [`<polyline ${attributes({ class: `${name} line`, points: path })}/>`, ...dots].join("");
  });
  return svgDocument(
    {
      title: "Throughput by body size",
      subtitle: `${subtitle(group)}; medians, logarithmic scale`,
      xLabel: "bytes in the body of each answer",
      yLabel: "requests per second",
    },
    { x: columnTicks(cells), y: ticks.map((tick) => ({ at: y(tick), label: shortNumber(tick) })) },
    { names, colors: targetColors, label: (name) => name },
    content,
  );
}

/** A bar with its value above it and the quartiles as a whisker. */
function bar(
  name: TargetName,
  x: number,
  width: number,
  y: (ratio: number) => number,
  ratio: { readonly ofMedians: number; readonly q1: number; readonly q3: number },
): string {
  const top = y(ratio.ofMedians);
  const height = frame.bottom - top;
  const middle = x + width / 2;
  const [low, high] = [y(ratio.q1), y(ratio.q3)];
  const whisker = `M${middle - 5} ${high}h10M${middle} ${high}V${low}M${middle - 5} ${low}h10`;
  return [
    `<rect ${attributes({ class: `bar ${name}`, x, y: top, width, height, rx: 2 })}/>`,
    `<path ${attributes({ class: "whisker", d: whisker.replace(/\d+\.\d+/g, (text) => Number(text).toFixed(1)) })}/>`,
    textAt(middle, Math.min(top, high) - 6, "small middle", ratio.ofMedians.toFixed(2)),
  ].join("");
}

/** A subject divided by each other target, in bars; undefined if there is nothing to compare. */
export function ratioPlot(group: string, cells: readonly CellResult[], of: Subject): string | undefined {
  const ofSubject = (cell: CellResult) => cell.comparisons.filter((comparison) => comparison.of === of);
  const comparisons = cells.flatMap(ofSubject);
  if (comparisons.length === 0) return undefined;
  const names = reportedTargets(cells).filter((name) => comparisons.some((other) => other.with === name));
  const highest = Math.max(
    1,
    ...comparisons.flatMap((other) => [other.requestsPerSecond.ofMedians, other.requestsPerSecond.q3]),
  );
  const step = [0.25, 0.5, 1, 2].find((size) => highest <= 10 * size) ?? 5;
  const top = Math.ceil((highest * 1.08) / step) * step;
  const y = (ratio: number) => frame.bottom - (heightOf * ratio) / top;
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step);
  const space = widthOf / cells.length;
  const width = Math.min(44, (space * 0.8) / names.length);
  const bars = cells.flatMap((cell, index) =>
    ofSubject(cell).map((other) => {
      const offset = (names.indexOf(other.with) - names.length / 2) * width;
      return bar(other.with, column(index, cells.length) + offset + 2, width - 4, y, other.requestsPerSecond);
    }),
  );
  const one = `<line ${attributes({ class: "axis one", x1: frame.left, x2: frame.right, y1: y(1), y2: y(1) })}/>`;
  return svgDocument(
    {
      title: `Throughput of ${of} as a multiple of the others'`,
      subtitle: `${subtitle(group)}; ratios of medians, whiskers: quartiles of the rounds' ratios`,
      xLabel: "bytes in the body of each answer",
      yLabel: `${of} / other (higher is better)`,
    },
    { x: columnTicks(cells), y: ticks.map((tick) => ({ at: y(tick), label: tick.toFixed(2) })) },
    { names, colors: targetColors, label: (name) => `against ${name}` },
    [...bars, one],
  );
}
