import { LOAD_ROW_CELLS, LoadCell, type ReportedFigure } from "./load-layout.js";
import type { Backend } from "./types.js";

/** A comparison with each name is cheaper than to look one up: a policy may ask for hundreds of candidates. */
function cellOf(figure: ReportedFigure): number {
  switch (figure) {
    case "cpu":
      return LoadCell.cpu;
    case "memory":
      return LoadCell.memory;
    case "io":
      return LoadCell.io;
    case "tcpConnections":
      return LoadCell.tcpConnections;
    case "activeSockets":
      return LoadCell.activeSockets;
    case "queue":
      return LoadCell.queue;
    case "utilization":
      return LoadCell.utilization;
  }
}

/**
 * The backends a request may still go to, with their live load. Narrowing only moves a boundary: dropped
 * candidates stay behind it in the same array. So nothing is allocated, and a policy's narrowing can
 * be undone by putting the boundary back.
 *
 * Positions are 0 to `length - 1` and stay valid until the next `keep` or `filter`. Loads are live: two reads of
 * the same number may differ.
 */
export class Candidates {
  private nobody = false;

  /**
   * @param load the load table (`load-layout.ts`)
   * @param slots cell 0 is the number of candidates, the slots of their backends follow; rewritten in place
   * @param bySlot backends by slot
   */
  constructor(
    private readonly load: Int32Array,
    private readonly slots: Int32Array,
    private readonly bySlot: readonly (Backend | undefined)[],
  ) {}

  /** How many are left. */
  get length(): number {
    return this.slots[0] as number;
  }

  /** The same object as long as each slot stands for the same backend: so long holds what is remembered by slot. */
  get assignment(): unknown {
    return this.bySlot;
  }

  /** The backend at a position. Throws RangeError outside 0 to `length - 1`. */
  at(position: number): Backend {
    const backend = this.bySlot[this.slotAt(position)];
    if (backend === undefined) throw new RangeError(`no backend has slot ${this.slotAt(position)}`);
    return backend;
  }

  /** The slot of the backend at a position; cheaper than `at(position).slot`. Throws RangeError as `at` does. */
  slotAt(position: number): number {
    // `>>> 0` leaves only whole numbers from 0 up as they are.
    if (position >>> 0 !== position || position >= this.length) throw this.noCandidate(position);
    return this.slots[position + 1] as number;
  }

  /**
   * The weight in effect, 0 and up: the configured one, less while the backend starts slowly or says itself that it wants less. Only
   * proportions within a pool mean something.
   */
  weight(position: number): number {
    return this.cell(position, LoadCell.weight);
  }

  /** Sum of all weights. If it is 0, treat all candidates alike: weight 0 means "only if nothing else is left". */
  totalWeight(): number {
    let total = 0;
    const end = this.length;
    for (let i = 1; i <= end; i++) {
      total += this.load[(this.slots[i] as number) * LOAD_ROW_CELLS + LoadCell.weight] as number;
    }
    return total;
  }

  /** Exchanges in flight to this backend, from all workers. */
  active(position: number): number {
    return this.cell(position, LoadCell.active);
  }

  /** Moving average of the time to the response head, microseconds; 0 if nothing was measured yet. */
  latency(position: number): number {
    return this.cell(position, LoadCell.ewmaMicros);
  }

  /** What the backend reported last of its load; -1 if it does not, or not any more. */
  reported(position: number, figure: ReportedFigure): number {
    return this.cell(position, cellOf(figure)) - 1;
  }

  /** Narrows to the candidate at a position. Throws RangeError as `at` does. */
  keep(position: number): void {
    this.slotAt(position);
    this.swap(0, position);
    this.slots[0] = 1;
  }

  /**
   * Narrows to the candidates for which `test` holds, in their order. Positions in `test` are those before
   * the call.
   */
  filter(test: (position: number) => boolean): void {
    let kept = 0;
    const before = this.length;
    // Only positions below the current one move, so what `test` still has to see is where it was.
    for (let i = 0; i < before; i++) {
      if (test(i)) this.swap(kept++, i);
    }
    this.slots[0] = kept;
  }

  /**
   * Narrows to nobody: the client gets 503. A `filter` that happens to leave nobody is taken for a mistake, and undone; this is how to
   * say that it is none.
   */
  refuse(): void {
    this.slots[0] = 0;
    this.nobody = true;
  }

  /**
   * Whether somebody called `refuse`. For the policy chain.
   * @internal
   */
  get refused(): boolean {
    return this.nobody;
  }

  /**
   * Puts back what was dropped since `length` was this number. For the policy chain.
   * @internal
   */
  restore(length: number): void {
    this.slots[0] = length;
    this.nobody = false;
  }

  /**
   * The same candidates in memory of their own. For the policy chain.
   * @internal
   */
  fork(): Candidates {
    return new Candidates(this.load, this.slots.slice(0, this.length + 1), this.bySlot);
  }

  /**
   * Becomes the same set, in the same order, as a fork. For the policy chain.
   * @internal
   */
  adopt(fork: Candidates): void {
    this.slots.set(fork.slots.subarray(0, fork.length + 1));
  }

  private cell(position: number, cell: number): number {
    return this.load[this.slotAt(position) * LOAD_ROW_CELLS + cell] as number;
  }

  /** Apart from `slotAt`, which V8 inlines only while it is small. */
  private noCandidate(position: number): RangeError {
    return new RangeError(`there is no candidate ${position}, there are ${this.length}`);
  }

  private swap(a: number, b: number): void {
    const slot = this.slots[a + 1] as number;
    this.slots[a + 1] = this.slots[b + 1] as number;
    this.slots[b + 1] = slot;
  }
}
