import type { HashTable, Member } from "../hashing/table-choice.js";

/** The rule of ONE-IP (README.md): the hash modulo the number of members, where a member of weight 2 counts twice. */
export class Modulo implements HashTable {
  readonly shares: Float64Array;
  private readonly slots: Uint16Array;
  /** For each member, the sum of its weight and those before it. */
  private readonly ends: Float64Array;
  private readonly total: number;

  constructor(members: readonly Member[]) {
    const unit = members.reduce((divisor, { weight }) => gcd(divisor, weight), 0);
    this.shares = Float64Array.from(members, ({ weight }) => weight / unit);
    this.slots = Uint16Array.from(members, ({ slot }) => slot);
    this.ends = new Float64Array(members.length);
    let total = 0;
    for (let i = 0; i < members.length; i++) {
      total += this.shares[i] as number;
      this.ends[i] = total;
    }
    this.total = total;
  }

  owner(hash: number): number {
    const rest = (hash >>> 0) % this.total;
    let low = 0;
    let high = this.ends.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.ends[middle] as number) <= rest) low = middle + 1;
      else high = middle;
    }
    return this.slots[low] as number;
  }
}

function gcd(one: number, other: number): number {
  return other === 0 ? one : gcd(other, one % other);
}
