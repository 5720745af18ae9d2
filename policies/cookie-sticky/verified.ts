import { finalize } from "../hashing/text-hash.js";

const ENTRIES = 4096;

/**
 * Cookies that were found to be genuine, so that a signature is not computed for every request of a session. Bounded: each cookie has
 * one place, by its hash, and a later one takes it over. Nothing is allocated to look one up.
 */
export class VerifiedCookies {
  private readonly hashes = new Int32Array(ENTRIES);
  private readonly texts = new Array<string>(ENTRIES).fill("");
  private readonly slots = new Int32Array(ENTRIES);
  private readonly expiries = new Uint32Array(ENTRIES);

  /** @param seed of the hash; secret, so that nobody can make guesses that are compared with the cookie of another client */
  constructor(private readonly seed: number) {}

  /** The entry of the cookie that is the text between two positions; -1 if it is not known. */
  find(text: string, from: number, to: number): number {
    const hash = this.hash(text, from, to);
    const entry = hash & (ENTRIES - 1);
    const known = this.texts[entry] as string;
    const same =
      this.hashes[entry] === hash &&
      known.length > 0 &&
      known.length === to - from &&
      text.startsWith(known, from);
    return same ? entry : -1;
  }

  /** Keeps a genuine cookie; its entry. */
  keep(cookie: string, slot: number, expiry: number): number {
    const hash = this.hash(cookie, 0, cookie.length);
    const entry = hash & (ENTRIES - 1);
    this.hashes[entry] = hash;
    this.texts[entry] = cookie;
    this.slots[entry] = slot;
    this.expiries[entry] = expiry;
    return entry;
  }

  /** The slot that the cookie of an entry names. */
  slot(entry: number): number {
    return this.slots[entry] as number;
  }

  /** When it expires, seconds since 1970; 0: never. */
  expiry(entry: number): number {
    return this.expiries[entry] as number;
  }

  /** Forgets all. */
  clear(): void {
    this.texts.fill("");
  }

  private hash(text: string, from: number, to: number): number {
    let hash = this.seed;
    for (let i = from; i < to; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    return finalize(hash);
  }
}
