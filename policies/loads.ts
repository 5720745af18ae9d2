import { type Candidates, z } from "../src/policy/index.js";
import { COUNTS, type Figure, figureAt, isShare, SHARES } from "./figures.js";
import { Scores } from "./scores.js";

const FIGURES = [...SHARES, ...COUNTS] as const;
/** What the greatest count of all candidates is taken to be at least: differences between a few are chance. */
const FEW = 16;

/** Options of the policies that go by reported load: one figure, or several that are summed. */
export const loadOptions = z
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
  .transform(({ metric = "cpu", weights }) => weights ?? { [metric]: 1 });

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
    this.scores.make(candidates.length);
    this.scores.values.fill(0, 0, candidates.length);
    for (let t = 0; t < this.terms.length; t++) this.add(candidates, this.terms[t] as Term);
  }

  private add(candidates: Candidates, { figure, factor, share }: Term): void {
    const { values } = this.scores;
    const whole = share ? 1000 : greatest(candidates, figure);
    let busiest = 0;
    for (let i = 0; i < candidates.length; i++) {
      let load = figureAt(candidates, i, figure) / whole;
      if (load < 0) {
        if (busiest === 0) busiest = greatest(candidates, "connections");
        load = candidates.active(i) / busiest;
      }
      values[i] = (values[i] as number) + factor * load;
    }
  }
}

/** The greatest of the candidates' counts, at least `FEW`. */
function greatest(candidates: Candidates, figure: Figure): number {
  let most = FEW;
  for (let i = 0; i < candidates.length; i++) {
    const count = figureAt(candidates, i, figure);
    if (count > most) most = count;
  }
  return most;
}
