import { randomInt } from "node:crypto";
import type { Backend } from "../../src/policy/index.js";
import type { Seal } from "./seal.js";
import { VerifiedCookies } from "./verified.js";

/** How many cookies of the name a request may have that are looked at: each forged one costs a signature. */
const MOST_COOKIES = 4;

/** Which backend the cookies of requests name, and the cookies for responses. */
export class Sessions {
  private readonly verified = new VerifiedCookies(randomInt(2 ** 32) | 0);
  /** By slot: whose cookies those are. */
  private readonly known: (Backend | undefined)[] = [];
  private readonly slots = new Map<string, number>();
  /** By slot: what was issued last, and when. */
  private readonly issued: string[] = [];
  private readonly issuedAt: number[] = [];
  /** Start of the cookie in a request. */
  private readonly prefix: string;

  /**
   * @param attributes what follows the value in `set-cookie`
   * @param maxAge seconds that a cookie holds; 0: as long as the client keeps it
   */
  constructor(
    private readonly seal: Seal,
    name: string,
    private readonly attributes: string,
    private readonly maxAge: number,
    backends: readonly Backend[],
  ) {
    this.prefix = `${name}=`;
    for (const backend of backends) this.know(backend);
  }

  /**
   * The entry for the session of a request, which `slot` and `isOld` take; -1 if its cookie is missing, forged, expired, or of a backend
   * that the pool has no more. A client may send several of the name, for another path or domain, or because another site of
   * the same domain set one.
   *
   * @param header the value of `cookie`
   */
  find(header: string): number {
    let from = startOf(header, this.prefix, 0);
    for (let n = 0; n < MOST_COOKIES && from >= 0; n++) {
      const entry = this.entryAt(header, from);
      if (entry >= 0) return entry;
      from = startOf(header, this.prefix, from);
    }
    return -1;
  }

  /** The same for the cookie whose value begins there. */
  private entryAt(header: string, from: number): number {
    const semicolon = header.indexOf(";", from);
    const to = semicolon < 0 ? header.length : semicolon;
    const known = this.verified.find(header, from, to);
    const entry = known < 0 ? this.verify(header.slice(from, to)) : known;
    if (entry < 0) return -1;
    const expiry = this.verified.expiry(entry);
    return expiry === 0 || seconds() < expiry ? entry : -1;
  }

  /** The slot of the session's backend. */
  slot(entry: number): number {
    return this.verified.slot(entry);
  }

  /** Whether it should get a new cookie: half of its time is over, or it holds for longer than cookies do by now. */
  isOld(entry: number): boolean {
    const expiry = this.verified.expiry(entry);
    if (expiry === 0) return this.maxAge > 0;
    const left = expiry - seconds();
    return left < this.maxAge / 2 || left > this.maxAge;
  }

  /** The value of `set-cookie` for a session with this backend. It may be up to a hundredth of `maxAge` old. */
  issue(backend: Backend): string {
    this.know(backend);
    const { slot, address } = backend;
    const now = this.maxAge === 0 ? 0 : seconds();
    const age = now - (this.issuedAt[slot] as number);
    if (this.issued[slot] !== "" && age >= 0 && age <= this.maxAge / 100) return this.issued[slot] as string;
    const expiry = this.maxAge === 0 ? 0 : now + this.maxAge;
    const value = this.seal.seal({ backend: this.seal.nameOf(address), expiry });
    this.issued[slot] = `${this.prefix}${value}${this.attributes}`;
    this.issuedAt[slot] = now;
    return this.issued[slot] as string;
  }

  private verify(cookie: string): number {
    const session = this.seal.open(cookie);
    const slot = session && this.slots.get(session.backend);
    return slot === undefined ? -1 : this.verified.keep(cookie, slot, session?.expiry ?? 0);
  }

  private know(backend: Backend): void {
    const { slot, address } = backend;
    if (this.known[slot] === backend) return;
    // Filled without gaps: V8 turns an array with wide ones into a dictionary.
    while (this.known.length <= slot) {
      this.known.push(undefined);
      this.issued.push("");
      this.issuedAt.push(0);
    }
    const before = this.known[slot];
    this.known[slot] = backend;
    if (before?.address === address) return;
    if (before !== undefined) {
      this.slots.delete(this.seal.nameOf(before.address));
      this.verified.clear();
    }
    this.slots.set(this.seal.nameOf(address), slot);
    this.issued[slot] = "";
  }
}

/** Since 1970. Asked for only where a time is part of the cookie: the answer of `Date.now` lies on the heap. */
function seconds(): number {
  return (Date.now() / 1000) >>> 0;
}

/** Where the value of the first cookie with this name behind a position begins; -1 if there is none. */
function startOf(header: string, prefix: string, behind: number): number {
  let at = header.indexOf(prefix, behind);
  while (at > 0 && header[at - 1] !== " " && header[at - 1] !== ";") at = header.indexOf(prefix, at + 1);
  return at < 0 ? -1 : at + prefix.length;
}
