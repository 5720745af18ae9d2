/**
 * Draws lots. Whole numbers only, so that a draw allocates nothing; a function that returns fractions has to
 * put each on the heap. A Weyl sequence through the finaliser of murmur3: even, repeatable, predictable.
 */
export class Lots {
  private state: number;

  /** @param random uniform in [0, 1); asked once, for the start of the sequence */
  constructor(random: () => number) {
    this.state = (random() * 2 ** 32) | 0;
  }

  /** A whole number from 0 to `count - 1`, all as likely. `count` is from 1 to 2^31 - 1. */
  below(count: number): number {
    this.state = (this.state + 0x9e3779b9) | 0;
    let x = Math.imul(this.state ^ (this.state >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return Math.floor((((x ^ (x >>> 16)) >>> 0) / 2 ** 32) * count);
  }
}
