import { type Candidates, z } from "../src/policy/index.js";
import { COUNTS, type Figure, figureAt, isShare, SHARES } from "./figures.js";
import { Scores } from "./scores.js";

const FIGURES = [...SHARES, ...COUNTS] as const;
/** What the greatest count of all candidates is taken to be at least: differences between a few are chance. */
const FEW = 16;

/**
 * Options of the policies that go by reported load: one figure, or several that are summed.
 *
 * @param standard the weights of those who give neither
 */
export const loadOptions = (standard: Partial<Record<Figure, number>>) =>
  z
    .strictObject({
      metric: z.enum(FIGURES).optional(),
      weights: z.partialRecord(z.enum(FIGURES), z.number().positive()).optional(),
    })
    .refine(({ metric, weights }) => metric === undefined || weights === undefined, {
      message: "give metric or weights, not both",
    })
    .refine(({ weights }) => weights === undefined || Object.keys(weights).length > 0, {
      message: "at least one figure is needed",
      path: ["weights"],
    })
    .transform(({ metric, weights }) => weights ?? (metric === undefined ? standard : { [metric]: 1 }));

interface Term {
  readonly figure: Figure;
  /** All add up to 1. */
  readonly factor: number;
  readonly share: boolean;
}

/**
 * The load of each candidate as one number, 0 to about 1: the mean of the chosen figures by their weights, after those in thousandths
 * were divided by 1000, and counts by the greatest count among the candidates (at least 16). A figure that is not known is replaced
 * by the exchanges in flight, as a count.
 */
export class Loads {
  /** By position, as of the last `measure`. */
  readonly scores = new Scores();
  private readonly terms: readonly Term[];
  /** The figure that is being added, by position. */
  private read = new Int32Array(16);

  /** @param weights what `loadOptions` gives */
  constructor(weights: Partial<Record<Figure, number>>) {
    const entries = Object.entries(weights) as [Figure, number][];
    const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
    this.terms = entries.map(([figure, weight]) => ({
      figure,
      factor: weight / total,
      share: isShare(figure),
    }));
  }

  measure(candidates: Candidates): void {
    const { length } = candidates;
    this.scores.make(length);
    if (length > this.read.length) this.read = new Int32Array(2 * length);
    this.scores.values.fill(0, 0, length);
    for (let t = 0; t < this.terms.length; t++) this.add(candidates, this.terms[t] as Term);
  }

  private add(candidates: Candidates, { figure, factor, share }: Term): void {
    const { read } = this;
    const { values } = this.scores;
    const { length } = candidates;
    const most = this.readAll(candidates, figure);
    const perUnit = factor / (share ? 1000 : most);
    let unknown = 0;
    for (let i = 0; i < length; i++) {
      const value = read[i] as number;
      if (value < 0) unknown++;
      else values[i] = (values[i] as number) + value * perUnit;
    }
    if (unknown > 0) this.replace(candidates, factor);
  }

  /** Takes the exchanges in flight where the figure that was read is not known. */
  private replace(candidates: Candidates, factor: number): void {
    const { values } = this.scores;
    let most = FEW;
    for (let i = 0; i < candidates.length; i++) most = Math.max(most, candidates.active(i));
    for (let i = 0; i < candidates.length; i++) {
      if ((this.read[i] as number) >= 0) continue;
      values[i] = (values[i] as number) + (factor * candidates.active(i)) / most;
    }
  }

  /** Reads a figure of all candidates; returns the greatest, at least `FEW`. */
  private readAll(candidates: Candidates, figure: Figure): number {
    const { read } = this;
    const { length } = candidates;
    let most = FEW;
    for (let i = 0; i < length; i++) {
      const value = figureAt(candidates, i, figure);
      read[i] = value;
      if (value > most) most = value;
    }
    return most;
  }
}
