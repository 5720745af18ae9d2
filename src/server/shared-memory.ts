/**
 * Memory that the policies of all workers have in common, from one plan to the next: what a plan asks for again is what it was,
 * and what it does not ask for any more is forgotten.
 */
export class SharedMemory {
  private blocks = new Map<string, SharedArrayBuffer>();

  /** Begins a plan: the function gives out its blocks. */
  plan(): (key: string, bytes: number) => SharedArrayBuffer {
    const before = this.blocks;
    const blocks = new Map<string, SharedArrayBuffer>();
    this.blocks = blocks;
    return (key, bytes) => {
      const old = before.get(key);
      const block = old?.byteLength === bytes ? old : new SharedArrayBuffer(bytes);
      blocks.set(key, block);
      return block;
    };
  }
}
