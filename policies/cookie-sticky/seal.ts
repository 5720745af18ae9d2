import { createHmac, timingSafeEqual } from "node:crypto";

/** Bytes of a backend's name in a cookie, and of a signature: half of SHA-256's, which RFC 2104 allows. */
const NAME_BYTES = 9;
const SIGNATURE_BYTES = 16;

/** What a genuine cookie says. */
export interface Session {
  /** See `Seal.nameOf`. */
  readonly backend: string;
  /** Seconds since 1970; 0: never. */
  readonly expiry: number;
}

/** Makes and checks the values of cookies: `BACKEND.EXPIRY.SIGNATURE`, of letters, digits, `-` and `_` but for the dots. */
export class Seal {
  /** @param pool a cookie holds for one pool only */
  constructor(
    private readonly secret: string,
    private readonly pool: string,
  ) {}

  /** The name of a backend in cookies: it tells nobody its address, or whether two pools have the same one. */
  nameOf(address: string): string {
    return this.hmac("backend", address, NAME_BYTES);
  }

  /** The value of a cookie. */
  seal({ backend, expiry }: Session): string {
    const content = `${backend}.${expiry.toString(36)}`;
    return `${content}.${this.hmac("session", content, SIGNATURE_BYTES)}`;
  }

  /** What a value says; undefined unless it was made with this secret for this pool. Takes the same time wherever they differ. */
  open(value: string): Session | undefined {
    // Six digits of the time would end in 2038.
    const parts = /^([\w-]{12})\.(0|[1-9a-z][0-9a-z]{0,6})\.[\w-]{22}$/.exec(value);
    if (parts === null) return undefined;
    const session = { backend: parts[1] as string, expiry: Number.parseInt(parts[2] as string, 36) };
    return timingSafeEqual(Buffer.from(this.seal(session)), Buffer.from(value)) ? session : undefined;
  }

  private hmac(purpose: string, content: string, bytes: number): string {
    const mac = createHmac("sha256", this.secret).update(`${purpose}\0${this.pool}\0${content}`).digest();
    return mac.subarray(0, bytes).toString("base64url");
  }
}
