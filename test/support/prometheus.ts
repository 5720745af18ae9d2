/** The samples of a Prometheus text page. */
export class Samples {
  readonly #samples: { name: string; labels: Record<string, string>; value: number }[] = [];

  constructor(text: string) {
    for (const line of text.split("\n")) {
      if (line === "" || line.startsWith("#")) continue;
      const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (!match) throw new Error(`not a sample: ${line}`);
      this.#samples.push({
        name: match[1]!,
        labels: parseLabels(match[2] ?? ""),
        value: parseValue(match[3]!),
      });
    }
  }

  /** The sum over all samples of that name which carry those labels; 0 when there is none. */
  sum(name: string, labels: Record<string, string> = {}): number {
    const wanted = Object.entries(labels);
    return this.#samples
      .filter(
        (sample) => sample.name === name && wanted.every(([key, value]) => sample.labels[key] === value),
      )
      .reduce((total, sample) => total + sample.value, 0);
  }

  /** The label sets under which that name occurs. */
  labelSets(name: string): Record<string, string>[] {
    return this.#samples.filter((sample) => sample.name === name).map((sample) => sample.labels);
  }
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, key, value] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    labels[key!] = value!.replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
  }
  return labels;
}

function parseValue(text: string): number {
  return text === "+Inf" ? Number.POSITIVE_INFINITY : Number(text);
}
