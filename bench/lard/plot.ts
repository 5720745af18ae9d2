/** The plots of one experiment over the number of nodes, as SVG text. */
import { shortNumber } from "../plot.js";
import { attributes, frame, svgDocument } from "../svg.js";
import type { ExperimentResult } from "./experiments.js";
import type { Outcome } from "./simulate.js";
import { type StrategyName, strategyNames } from "./strategies.js";

const strategyColors = {
  "round-robin": "grey",
  "least-connections": "orange",
  "uri-hash": "green",
  lard: "blue",
  "lard-replicated": "violet",
} as const;

interface Figure {
  readonly kind: string;
  readonly title: string;
  readonly yLabel: string;
  value(outcome: Outcome): number;
}

const figures: readonly Figure[] = [
  {
    kind: "throughput",
    title: "Throughput by number of nodes",
    yLabel: "requests per second",
    value: ({ requestsPerSecond }) => requestsPerSecond,
  },
  {
    kind: "misses",
    title: "Cache misses by number of nodes",
    yLabel: "% of requests",
    value: ({ missRatio }) => missRatio * 100,
  },
  {
    kind: "underused",
    title: "Nodes with too little to do",
    yLabel: "% of the time",
    value: ({ underused }) => underused * 100,
  },
];

/** 0 and the multiples of a round number up to the first that is not below the highest value. */
export function linearTicks(highest: number): number[] {
  const rough = Math.max(highest, 1e-9) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((digit) => digit * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.ceil(highest / step) + 1 }, (_, index) => index * step);
}

function plot({ experiment, results }: ExperimentResult, figure: Figure): string {
  const counts = [...new Set(results.map(({ run }) => run.nodes))];
  const most = Math.max(...counts);
  const names = strategyNames.filter((name) => results.some(({ run }) => run.strategy === name));
  const x = (nodes: number) => frame.left + ((frame.right - frame.left) * nodes) / (most + 1);
  const ticks = linearTicks(Math.max(...results.map(({ outcome }) => figure.value(outcome))));
  const top = ticks.at(-1) as number;
  const y = (value: number) => frame.bottom - ((frame.bottom - frame.top) * value) / top;
  const line = (name: StrategyName) => {
    const own = results.filter(({ run }) => run.strategy === name);
    const points = own.map(({ run, outcome }) => [x(run.nodes), y(figure.value(outcome))] as const);
    const path = points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(" ");
    const dots = points.map(([cx, cy]) => `<circle ${attributes({ class: `${name} dot`, cx, cy, r: 5 })}/>`);
    return [`<polyline ${attributes({ class: `${name} line`, points: path })}/>`, ...dots].join("");
  };
  return svgDocument(
    { title: figure.title, subtitle: experiment.title, xLabel: "nodes", yLabel: figure.yLabel },
    {
      x: counts.map((count) => ({ at: x(count), label: String(count) })),
      y: ticks.map((tick) => ({ at: y(tick), label: shortNumber(tick) })),
    },
    { names, colors: strategyColors, label: (name) => name },
    names.map(line),
  );
}

/** The plots of an experiment, by kind; none if it is not about the number of nodes. */
export function experimentPlots(result: ExperimentResult): [kind: string, svg: string][] {
  if (result.results.some(({ run }) => run.variant !== undefined)) return [];
  return figures.map((figure) => [figure.kind, plot(result, figure)]);
}
