import { finalize, TextHash } from "../hashing/text-hash.js";

/** What a target is known by in the table: a hash of host and target in two lanes of 32 bits. */
export class TargetKey {
  a = 0;
  /** Never 0, so that no key looks like an entry that nobody has. */
  b = 1;
  private readonly hash = new TextHash();

  /** Becomes the key of this target. */
  take(host: string, target: string): void {
    const { hash } = this;
    hash.take(host);
    const { a, b } = hash;
    hash.take(target);
    this.a = finalize(Math.imul(a, 0x9e3779b1) ^ hash.a);
    this.b = finalize(Math.imul(b, 0x9e3779b1) ^ hash.b) | 1;
  }
}
