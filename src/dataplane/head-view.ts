/** Cells of the head index; `HeadIndex` in native/binding/worker_binding.h is the other copy. */
const Cell = {
  token: 0,
  policy: 1,
  attempt: 2,
  methodLength: 3,
  targetLength: 4,
  pathLength: 5,
  hostLength: 6,
  clientLength: 7,
  headers: 8,
} as const;

/** Most header names that the policies of one pool may ask for. */
export const MAX_NEEDED_HEADERS = 64;

/** Cells that the head index needs. */
export const HEAD_INDEX_CELLS = Cell.headers + MAX_NEEDED_HEADERS;

/**
 * A request head as native code laid it down for a decision: bytes one after the other, lengths in the index. Text is
 * decoded when it is asked for, so a policy that does not look at the path does not pay for it.
 */
export class HeadView {
  /** Header names in the order of their lengths in the index, lower case; set before use. */
  names: readonly string[] = [];

  constructor(
    private bytes: Buffer,
    private index: Int32Array,
  ) {}

  /** Names the decision for `NativeWorker.decided`. */
  get token(): number {
    return this.cell(Cell.token);
  }

  /** Number of the pool's policy chain. */
  get policy(): number {
    return this.cell(Cell.policy);
  }

  get attempt(): number {
    return this.cell(Cell.attempt);
  }

  get method(): string {
    return this.text(0, this.cell(Cell.methodLength));
  }

  get target(): string {
    return this.text(this.cell(Cell.methodLength), this.cell(Cell.targetLength));
  }

  get path(): string {
    return this.text(this.cell(Cell.methodLength), this.cell(Cell.pathLength));
  }

  get query(): string {
    const path = this.cell(Cell.pathLength);
    const length = this.cell(Cell.targetLength) - path - 1;
    return length <= 0 ? "" : this.text(this.cell(Cell.methodLength) + path + 1, length);
  }

  get host(): string {
    return this.text(this.afterTarget(), this.cell(Cell.hostLength));
  }

  get clientAddress(): string {
    return this.text(this.afterTarget() + this.cell(Cell.hostLength), this.cell(Cell.clientLength));
  }

  /** Value of a header that the pool's policies declared; undefined when absent or not declared. */
  header(name: string): string | undefined {
    let wanted = this.names.indexOf(name);
    if (wanted < 0) wanted = this.names.indexOf(name.toLowerCase());
    if (wanted < 0) return undefined;
    let offset = this.afterTarget() + this.cell(Cell.hostLength) + this.cell(Cell.clientLength);
    for (let i = 0; i < wanted; i++) offset += Math.max(0, this.cell(Cell.headers + i));
    const length = this.cell(Cell.headers + wanted);
    return length < 0 ? undefined : this.text(offset, length);
  }

  /** Copies what native code will overwrite at the next decision, for a policy that looks at it later. */
  detach(): void {
    let used = this.afterTarget() + this.cell(Cell.hostLength) + this.cell(Cell.clientLength);
    for (let i = 0; i < this.names.length; i++) used += Math.max(0, this.cell(Cell.headers + i));
    this.bytes = Buffer.from(this.bytes.subarray(0, used));
    this.index = this.index.slice();
  }

  private afterTarget(): number {
    return this.cell(Cell.methodLength) + this.cell(Cell.targetLength);
  }

  private cell(number: number): number {
    return this.index[number] as number;
  }

  // Heads are bytes; Latin-1 keeps each of them.
  private text(from: number, length: number): string {
    return this.bytes.toString("latin1", from, from + length);
  }
}
