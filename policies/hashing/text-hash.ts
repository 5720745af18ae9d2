// A string hash for load balancing: fast, well mixed, the same on every machine, and of no use against an
// adversary. Two independent 32-bit lanes of multiply-and-xor over UTF-16 code units; each ends in the
// finaliser of murmur3.

/** Multipliers of the two lanes: odd, without a common factor. */
const LANE_A = 0x01000193;
const LANE_B = 0x85ebca6b;

/** The two lanes of a string's hash, signed 32-bit numbers. One object serves for many strings and nothing is allocated. */
export class TextHash {
  a = 0;
  b = 0;

  /** Takes the hash of this text. */
  take(text: string): void {
    let a = 0x811c9dc5;
    let b = 0x9747b28c;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      a = Math.imul(a ^ unit, LANE_A);
      b = Math.imul(b ^ unit, LANE_B);
    }
    this.a = finalize(a ^ text.length);
    this.b = finalize(b ^ text.length);
  }
}

/** Spreads every bit of the input over the whole output; a bijection on 32 bits. */
export function finalize(value: number): number {
  let x = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
