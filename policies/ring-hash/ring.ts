import type { HashTable, Member } from "../hashing/table-choice.js";
import { finalize } from "../hashing/text-hash.js";

/** More than there are members; a power of two. */
const MEMBERS = 2 ** 16;

/** A ring of points (README.md): a hash belongs to the member whose point is the next one, clockwise. */
export class Ring implements HashTable {
  readonly shares: Float64Array;
  private readonly points: Uint32Array;
  private readonly slots: Uint16Array;

  /** @param nodes points of the heaviest member; others have fewer, by weight, but at least one */
  constructor(nodes: number, members: readonly Member[]) {
    const marks = sortedMarks(nodes, members);
    this.points = new Uint32Array(marks.length);
    this.slots = new Uint16Array(marks.length);
    this.shares = new Float64Array(members.length);
    for (let i = 0; i < marks.length; i++) {
      const mark = marks[i] as number;
      const member = mark % MEMBERS;
      const point = (mark - member) / MEMBERS;
      this.points[i] = point;
      this.slots[i] = (members[member] as Member).slot;
      const before = i === 0 ? -1 : (this.points[i - 1] as number);
      this.shares[member] = (this.shares[member] as number) + point - before;
    }
    // What lies behind the last point belongs to the first one.
    const first = (marks[0] as number) % MEMBERS;
    const last = this.points[marks.length - 1] as number;
    this.shares[first] = (this.shares[first] as number) + 2 ** 32 - 1 - last;
  }

  owner(hash: number): number {
    const { points } = this;
    const wanted = hash >>> 0;
    let low = 0;
    let high = points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((points[middle] as number) < wanted) low = middle + 1;
      else high = middle;
    }
    return this.slots[low === points.length ? 0 : low] as number;
  }
}

/** Every point with the number of its member behind it, in the order of the points. */
function sortedMarks(nodes: number, members: readonly Member[]): Float64Array {
  const heaviest = members.reduce((most, { weight }) => Math.max(most, weight), 0);
  const counts = members.map(({ weight }) => Math.max(1, Math.round((nodes * weight) / heaviest)));
  const marks = new Float64Array(counts.reduce((sum, count) => sum + count, 0));
  let end = 0;
  for (let member = 0; member < members.length; member++) {
    const { a, b } = members[member] as Member;
    for (let node = 0; node < (counts[member] as number); node++) {
      const point = finalize(finalize(a + Math.imul(node, 0x9e3779b9)) ^ b) >>> 0;
      marks[end++] = point * MEMBERS + member;
    }
  }
  return marks.sort();
}
