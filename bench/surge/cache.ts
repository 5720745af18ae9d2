/** What is in memory of a slow store: what was used least recently goes first. */
export class Cache {
  /** Sizes; a Map keeps the order in which they were put in. */
  private readonly entries = new Map<string, number>();
  private used = 0;

  /** @param bytes that fit in */
  constructor(private readonly bytes: number) {}

  /** Is it there? Then it has been used now. */
  touch(key: string): boolean {
    const size = this.entries.get(key);
    if (size === undefined) return false;
    this.entries.delete(key);
    this.entries.set(key, size);
    return true;
  }

  /** Puts something in that is not there; what is larger than the whole cache stays out. */
  add(key: string, size: number): void {
    if (size > this.bytes) return;
    for (const [oldest, bytes] of this.entries) {
      if (this.used + size <= this.bytes) break;
      this.entries.delete(oldest);
      this.used -= bytes;
    }
    this.entries.set(key, size);
    this.used += size;
  }

  clear(): void {
    this.entries.clear();
    this.used = 0;
  }
}
