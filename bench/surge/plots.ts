/** The plots of the scenarios with the SURGE load, as SVG text. */
import { attributes, type FrameText, frame, svgDocument, type Tick, textAt } from "../svg.js";

const heightOf = frame.bottom - frame.top;
const widthOf = frame.right - frame.left;

/** Round steps from 0 to what is not below the highest value. */
export function linearTicks(highest: number): number[] {
  const raw = highest / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((digit) => digit * power >= raw) ?? 10);
  return Array.from({ length: Math.ceil(highest / step) + 1 }, (_, index) => index * step);
}

function verticalAxis(highest: number): { y: (value: number) => number; ticks: Tick[] } {
  const ticks = linearTicks(highest);
  const top = ticks.at(-1) ?? 1;
  const y = (value: number) => frame.bottom - (heightOf * value) / top;
  return { y, ticks: ticks.map((value) => ({ at: y(value), label: value.toLocaleString("en-US") })) };
}

export interface Bar {
  readonly label: string;
  /** Below the label. */
  readonly note: string;
  readonly value: number;
  /** Quartiles. */
  readonly q1: number;
  readonly q3: number;
}

export function barPlot(text: FrameText, bars: readonly Bar[]): string {
  const { y, ticks } = verticalAxis(Math.max(...bars.map(({ q3 }) => q3)));
  const space = widthOf / bars.length;
  const width = Math.min(64, space * 0.6);
  const middle = (index: number) => frame.left + space * (index + 0.5);
  const content = bars.map(({ value, q1, q3, note }, index) => {
    const x = middle(index);
    const top = y(value);
    const shape = { x: x - width / 2, y: top, width, height: frame.bottom - top, rx: 2 };
    const d = `M${(x - 5).toFixed(1)} ${y(q3).toFixed(1)}h10m-5 0V${y(q1).toFixed(1)}m-5 0h10`;
    return [
      `<rect ${attributes({ class: "bar rate", ...shape })}/>`,
      `<path ${attributes({ class: "whisker", d })}/>`,
      textAt(x, Math.min(top, y(q3)) - 6, "small middle", Math.round(value).toLocaleString("en-US")),
      textAt(x, frame.bottom + 34, "quiet small middle", note),
    ].join("");
  });
  const x = bars.map(({ label }, index) => ({ at: middle(index), label }));
  const series = { names: ["rate"], colors: { rate: "blue" }, label: () => "median" } as const;
  return svgDocument(text, { x, y: ticks }, series, content);
}

/** A line of a time series. */
export interface Line {
  readonly kind: "special" | "usual";
  /** One for each second. */
  readonly values: readonly number[];
}

/** Seconds from and to which something was the case. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly label: string;
}

/** @param labels of the lines of each kind */
export function timePlot(
  text: FrameText,
  lines: readonly Line[],
  labels: Readonly<Record<Line["kind"], string>>,
  span: Span,
): string {
  const seconds = Math.max(...lines.map(({ values }) => values.length));
  const { y, ticks } = verticalAxis(Math.max(...lines.flatMap(({ values }) => values)));
  const x = (second: number) => frame.left + (widthOf * second) / seconds;
  const limits = [span.from, span.to].map((second) => {
    const line = { x1: x(second), x2: x(second), y1: frame.top, y2: frame.bottom };
    return `<line ${attributes({ class: "axis one", ...line })}/>`;
  });
  const word = textAt(x((span.from + span.to) / 2), frame.top + 16, "quiet small middle", span.label);
  const drawn = lines.map(({ kind, values }) => {
    // A second's value stands in the middle of it.
    const points = values.map((value, second) => `${x(second + 0.5).toFixed(1)},${y(value).toFixed(1)}`);
    return `<polyline ${attributes({ class: `${kind} line`, points: points.join(" ") })}/>`;
  });
  const step = Math.max(1, Math.round(seconds / 12));
  const times = Array.from({ length: Math.floor(seconds / step) + 1 }, (_, index) => index * step);
  const series = {
    names: ["special", "usual"],
    colors: { special: "orange", usual: "grey" },
    label: (kind: Line["kind"]) => labels[kind],
  } as const;
  return svgDocument(
    text,
    { x: times.map((second) => ({ at: x(second), label: String(second) })), y: ticks },
    series,
    [...limits, word, ...drawn],
  );
}
