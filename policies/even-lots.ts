import { Lots } from "./lots.js";

/** Draws of a block, and equal parts that the range is cut into: each block has one draw from each part. */
const PARTS = 64;
/** Places within a part. */
const PLACES = 2 ** 24;

/**
 * Draws lots that are spread more evenly than chance would: of each 64, one falls into each 64th of the range, in an order that
 * is drawn anew. So shares come out closely, without a rhythm that requests could fall into step with, and two of these do not
 * depend on each other.
 */
export class EvenLots {
  private readonly lots: Lots;
  private drawn = 0;
  private first = 0;
  private step = 1;

  /** @param random as for `Lots` */
  constructor(random: () => number) {
    this.lots = new Lots(random);
  }

  /** A whole number from 0 to `EvenLots.count - 1`. */
  draw(): number {
    if (this.drawn === 0) {
      this.first = this.lots.below(PARTS);
      // Odd, so that the steps lead to each part once.
      this.step = 2 * this.lots.below(PARTS / 2) + 1;
    }
    const part = (this.first + this.step * this.drawn) % PARTS;
    this.drawn = (this.drawn + 1) % PARTS;
    return part * PLACES + this.lots.below(PLACES);
  }

  /** How many different numbers there are. */
  static readonly count = PARTS * PLACES;
}
