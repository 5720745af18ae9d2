/**
 * Memory that the policies of all workers have in common, from one plan to the next: what a plan asks for again is what it was,
 * and what the plan in effect does not ask for is forgotten.
 */
export class SharedMemory {
  /** Of the plan in effect. */
  private blocks: ReadonlyMap<string, SharedArrayBuffer> = new Map();
  /** Of the plan that was begun last. */
  private planned: ReadonlyMap<string, SharedArrayBuffer> = new Map();

  /** Begins a plan: the function gives out its blocks. A plan that is refused changes nothing for the next one. */
  plan(): (key: string, bytes: number) => SharedArrayBuffer {
    const planned = new Map<string, SharedArrayBuffer>();
    this.planned = planned;
    return (key, bytes) => {
      const old = this.blocks.get(key);
      const block = old?.byteLength === bytes ? old : new SharedArrayBuffer(bytes);
      planned.set(key, block);
      return block;
    };
  }

  /** The plan that was begun last is in effect. */
  commit(): void {
    this.blocks = this.planned;
  }
}
