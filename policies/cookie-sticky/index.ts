import {
  type Candidates,
  definePolicy,
  type Policy,
  type RequestHead,
  type SelectContext,
  z,
} from "../../src/policy/index.js";
import { LeastConnections } from "../least-connections/index.js";
import { Lots } from "../lots.js";
import { Seal } from "./seal.js";
import { Sessions } from "./sessions.js";

/** Keeps a client with the backend that its cookie names; gives it to the least loaded one, and a cookie, if it has none that holds. */
class CookieSticky implements Policy {
  constructor(
    private readonly sessions: Sessions,
    private readonly newcomers: LeastConnections,
  ) {}

  select(head: RequestHead, candidates: Candidates, context: SelectContext): void {
    const cookies = head.header("cookie");
    const session = cookies === undefined ? -1 : this.sessions.find(cookies);
    const home = session < 0 ? -1 : positionOf(candidates, this.sessions.slot(session));
    if (home < 0) this.newcomers.select(head, candidates);
    else candidates.keep(home);
    if (candidates.length === 0 || (home >= 0 && !this.sessions.isOld(session))) return;
    context.addResponseHeader("set-cookie", this.sessions.issue(candidates.at(0)));
  }
}

function positionOf(candidates: Candidates, slot: number): number {
  for (let i = 0; i < candidates.length; i++) if (candidates.slotAt(i) === slot) return i;
  return -1;
}

const SAME_SITE = { strict: "Strict", lax: "Lax", none: "None" } as const;

const options = z
  .strictObject({
    secret: z
      .string({ error: "expected a secret that all proxies in front of the pool share" })
      .min(16, "expected at least 16 characters, for example what `openssl rand -base64 32` prints"),
    cookie: z
      .string()
      .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "expected the name of a cookie")
      .optional(),
    path: z
      .string()
      .regex(/^\/[!-:<-~]*$/, "expected a path that begins with / and has no semicolon or space")
      .default("/"),
    maxAge: z.int().min(1).max(31_536_000).optional(),
    sameSite: z.enum(["strict", "lax", "none"]).default("lax"),
    secure: z.boolean().default(false),
  })
  .refine(({ sameSite, secure }) => secure || sameSite !== "none", {
    path: ["sameSite"],
    message: "none needs secure: true, or browsers drop the cookie",
  })
  // So that the message is about the secret that is missing, not about the options.
  .prefault({} as never);

/**
 * `cookie-sticky`: a client stays with its backend, by a signed cookie. Options: `secret`, `cookie`, `path`, `maxAge`, `sameSite`,
 * `secure`.
 */
export const cookieSticky = definePolicy({
  name: "cookie-sticky",
  apiVersion: 1,
  options,
  needs: { headers: ["cookie"] },
  addsResponseHeaders: true,
  create: ({ secret, cookie, path, maxAge, sameSite, secure }, env) => {
    const attributes = [
      `; Path=${path}; HttpOnly; SameSite=${SAME_SITE[sameSite]}`,
      secure ? "; Secure" : "",
      maxAge === undefined ? "" : `; Max-Age=${maxAge}`,
    ];
    const sessions = new Sessions(
      new Seal(secret, env.pool),
      cookie ?? `longsplice-${env.pool}`,
      attributes.join(""),
      maxAge ?? 0,
      env.backends,
    );
    return new CookieSticky(sessions, new LeastConnections(new Lots(env.random)));
  },
});
