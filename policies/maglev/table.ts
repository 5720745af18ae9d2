import type { HashTable, Member } from "../hashing/table-choice.js";

/** No slot: the load table has far fewer. */
const FREE = 0xffff;

/** The lookup table of Maglev (README.md). Each entry is a slot. */
export class MaglevTable implements HashTable {
  readonly shares: Float64Array;
  private readonly entries: Uint16Array;

  /** @param size a prime number */
  constructor(
    private readonly size: number,
    members: readonly Member[],
  ) {
    this.entries = new Uint16Array(size).fill(FREE);
    this.shares = new Float64Array(members.length);
    this.populate(members);
  }

  owner(hash: number): number {
    return this.entries[(hash >>> 0) % this.size] as number;
  }

  /** Members take turns, as many as their weights say; in its turn a member takes the first free entry of its own permutation. */
  private populate(members: readonly Member[]): void {
    const { size, entries, shares } = this;
    const heaviest = members.reduce((most, { weight }) => Math.max(most, weight), 0);
    const credits = new Float64Array(members.length);
    const next = Uint32Array.from(members, ({ a }) => (a >>> 0) % size);
    const skips = Uint32Array.from(members, ({ b }) => ((b >>> 0) % (size - 1)) + 1);
    for (let left = size; ; ) {
      for (let i = 0; i < members.length; i++) {
        const { weight, slot } = members[i] as Member;
        const credit = (credits[i] as number) + weight;
        credits[i] = credit < heaviest ? credit : credit - heaviest;
        if (credit < heaviest) continue;
        const skip = skips[i] as number;
        let entry = next[i] as number;
        // The size is prime, so the steps come past every entry.
        while (entries[entry] !== FREE) entry = entry + skip < size ? entry + skip : entry + skip - size;
        entries[entry] = slot;
        shares[i] = (shares[i] as number) + 1;
        next[i] = entry;
        if (--left === 0) return;
      }
    }
  }
}
