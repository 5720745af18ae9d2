/** The frame of a plot: title, axes, grid, legend, and colours that fit a light and a dark page alike. */

export const frame = { width: 760, height: 440, left: 78, right: 740, top: 92, bottom: 376 } as const;

/** Colours of series, by light and dark page; told apart also without seeing colours, by their lightness. */
export const colors = {
  grey: ["#6e7781", "#9ea7b3"],
  violet: ["#7c1fa2", "#d08bf0"],
  blue: ["#0b57d0", "#6cb0ff"],
  orange: ["#c2410c", "#ff9d5c"],
  green: ["#15803d", "#5fd38a"],
} as const;

/** What is compared in a plot. The name is also a class of the style. */
export interface Series<Name extends string> {
  readonly names: readonly Name[];
  readonly colors: Readonly<Record<Name, keyof typeof colors>>;
  label(name: Name): string;
}

/** Neutral colours: background, text, quiet text, grid, axis. */
const pageColors = {
  page: ["#ffffff", "#0d1117"],
  text: ["#1f2328", "#e6edf3"],
  quiet: ["#59636e", "#9198a1"],
  grid: ["#e4e8ec", "#21262d"],
  axis: ["#8c959f", "#6e7681"],
} as const;

function rules<Name extends string>(series: Series<Name>, side: 0 | 1): string {
  const { page, text, quiet, grid, axis } = pageColors;
  const own = series.names.map((name) => {
    const color = colors[series.colors[name]][side];
    return `.${name}{stroke:${color};fill:${color}}`;
  });
  return [
    `.page{fill:${page[side]}}`,
    `text{fill:${text[side]}}`,
    `.quiet{fill:${quiet[side]}}`,
    `.grid{stroke:${grid[side]}}`,
    `.axis{stroke:${axis[side]}}`,
    `.whisker{stroke:${text[side]}}`,
    `circle.dot{stroke:${page[side]}}`,
    ...own,
  ].join("");
}

const shapes =
  "text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;stroke:none}" +
  ".title{font-size:17px;font-weight:600}.small{font-size:12px}.middle{text-anchor:middle}.end{text-anchor:end}" +
  "polyline.line{fill:none;stroke-width:2.5;stroke-linejoin:round}.dot{stroke-width:1.5}" +
  "rect.bar{stroke:none}.whisker{stroke-width:1.5;fill:none}.grid,.axis{stroke-width:1}.one{stroke-width:1.5;stroke-dasharray:5 4}";

const style = <Name extends string>(series: Series<Name>): string =>
  `<style>${shapes}${rules(series, 0)}@media (prefers-color-scheme:dark){${rules(series, 1)}}</style>`;

export function escapeText(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

export interface FrameText {
  readonly title: string;
  readonly subtitle: string;
  readonly xLabel: string;
  readonly yLabel: string;
}

/** Ticks of an axis: where they are, in pixels, and what stands there. */
export interface Tick {
  readonly at: number;
  readonly label: string;
}

const round = (value: number) => Math.round(value * 10) / 10;
export const attributes = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}="${typeof value === "number" ? round(value) : escapeText(value)}"`)
    .join(" ");

export const textAt = (x: number, y: number, className: string, text: string): string =>
  `<text ${attributes({ x, y, class: className })}>${escapeText(text)}</text>`;

function legend<Name extends string>({ names, label }: Series<Name>): string {
  let x = frame.left;
  return names
    .map((name) => {
      const box = `<rect ${attributes({ class: `bar ${name}`, x, y: 63, width: 12, height: 12, rx: 2 })}/>`;
      const text = textAt(x + 18, 74, "small", label(name));
      x += 40 + label(name).length * 7;
      return box + text;
    })
    .join("");
}

/** Puts the content into a whole document. */
export function svgDocument<Name extends string>(
  { title, subtitle, xLabel, yLabel }: FrameText,
  axes: { readonly x: readonly Tick[]; readonly y: readonly Tick[] },
  series: Series<Name>,
  content: readonly string[],
): string {
  const { width, height, left, right, top, bottom } = frame;
  const middle = (top + bottom) / 2;
  const grid = axes.y.map(
    ({ at, label }) =>
      `<line ${attributes({ class: "grid", x1: left, x2: right, y1: at, y2: at })}/>` +
      textAt(left - 10, at + 4, "quiet small end", label),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeText(title)}">`,
    style(series),
    `<rect class="page" width="${width}" height="${height}"/>`,
    textAt(left, 28, "title", title),
    textAt(left, 48, "quiet small", subtitle),
    legend(series),
    ...grid,
    `<line ${attributes({ class: "axis", x1: left, x2: right, y1: bottom, y2: bottom })}/>`,
    ...axes.x.map(({ at, label }) => textAt(at, bottom + 20, "small middle", label)),
    textAt((left + right) / 2, bottom + 46, "quiet small middle", xLabel),
    `<text class="quiet small middle" transform="translate(20 ${middle}) rotate(-90)">${escapeText(yLabel)}</text>`,
    ...content,
    "</svg>\n",
  ].join("\n");
}
