/**
 * A cache of whole files with the replacement of Cao and Irani, "Cost-Aware WWW Proxy Caching Algorithms" (USITS'97): Greedy-Dual-Size, where
 * each miss costs the same. A file is worth 1/size more than what was thrown out last; the least worth goes.
 */
export class GreedyDualSize {
  private free: number;
  /** Worth of the file that was thrown out last. */
  private inflation = 0;
  private readonly worth: Float64Array;
  /** Where each file is in the heap; -1: it is not in the cache. */
  private readonly places: Int32Array;
  /** A binary heap of files, the least worth first. */
  private readonly heap: Int32Array;
  private count = 0;

  constructor(
    capacity: number,
    private readonly sizes: Int32Array,
  ) {
    this.free = capacity;
    this.worth = new Float64Array(sizes.length);
    this.places = new Int32Array(sizes.length).fill(-1);
    this.heap = new Int32Array(sizes.length);
  }

  /** Whether the file is there. If so, this was a use of it. */
  use(file: number): boolean {
    const place = this.places[file] as number;
    if (place < 0) return false;
    this.worth[file] = this.inflation + 1 / (this.sizes[file] as number);
    this.sink(place);
    return true;
  }

  /** Takes in a file that is not there, unless it is larger than all of the cache. */
  add(file: number): void {
    const size = this.sizes[file] as number;
    while (this.free < size && this.count > 0) this.evict();
    if (this.free < size) return;
    this.free -= size;
    this.worth[file] = this.inflation + 1 / size;
    this.put(this.count++, file);
    this.rise(this.count - 1);
  }

  private evict(): void {
    const file = this.heap[0] as number;
    this.inflation = this.worth[file] as number;
    this.free += this.sizes[file] as number;
    this.places[file] = -1;
    const last = this.heap[--this.count] as number;
    if (this.count === 0) return;
    this.put(0, last);
    this.sink(0);
  }

  private put(place: number, file: number): void {
    this.heap[place] = file;
    this.places[file] = place;
  }

  private at(place: number): number {
    return this.worth[this.heap[place] as number] as number;
  }

  private swap(one: number, other: number): void {
    const file = this.heap[one] as number;
    this.put(one, this.heap[other] as number);
    this.put(other, file);
  }

  private rise(from: number): void {
    for (let place = from; place > 0; ) {
      const parent = (place - 1) >>> 1;
      if (this.at(parent) <= this.at(place)) return;
      this.swap(place, parent);
      place = parent;
    }
  }

  private sink(from: number): void {
    for (let place = from; ; ) {
      let child = 2 * place + 1;
      if (child >= this.count) return;
      if (child + 1 < this.count && this.at(child + 1) < this.at(child)) child++;
      if (this.at(place) <= this.at(child)) return;
      this.swap(place, child);
      place = child;
    }
  }
}
