import { createHash, timingSafeEqual } from "node:crypto";
import { BlockList, isIP } from "node:net";

/** Who can reach the admin server: programs on this machine, those with access to a socket file, or the network. */
export type Exposure = "loopback" | "unix" | "network";

/** The parts of a request that decide whether it is let in; header values as received. */
export interface GuardedRequest {
  readonly method: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly authorization: string | undefined;
}

/** Why a request is refused, to be sent to the client. */
export interface Refusal {
  readonly status: 401 | 403;
  readonly error: string;
  readonly remedy: string;
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Exposure of a TCP socket that is bound to this IP address. */
export function exposureOf(ip: string): Exposure {
  return loopback.check(ip, isIP(ip) === 6 ? "ipv6" : "ipv4") ? "loopback" : "network";
}

/**
 * Decides whether a request may pass; null means yes. The rules, in order:
 * 1. The right token opens everything: no page in a browser can know it.
 * 2. On loopback the Host header must name this machine, so that a site whose DNS name was pointed at 127.0.0.1
 *    cannot read from the visitor's browser (DNS rebinding).
 * 3. Reading needs nothing more.
 * 4. Writing needs the token where one is configured, and is refused on the network where none is.
 * 5. Writing without a token, on this machine only, is refused to pages of another origin (CSRF).
 */
export function refuse(
  request: GuardedRequest,
  exposure: Exposure,
  token: string | undefined,
): Refusal | null {
  if (token !== undefined && bearerMatches(request.authorization, token)) return null;
  if (exposure === "loopback" && !namesThisMachine(request.host)) {
    return refusal(403, "the Host header names another machine", "use localhost or an IP address");
  }
  if (request.method === "GET" || request.method === "HEAD") return null;
  if (token !== undefined) {
    return refusal(401, "a valid token is required", "send the header Authorization: Bearer <admin.token>");
  }
  if (exposure === "network") {
    return refusal(
      403,
      "changes are off: no token is configured",
      "set admin.token or bind admin to loopback",
    );
  }
  if (request.origin !== undefined && !isOriginOf(request.origin, request.host)) {
    return refusal(
      403,
      "pages of another origin may not change anything",
      "use the dashboard of this address",
    );
  }
  return null;
}

function refusal(status: 401 | 403, error: string, remedy: string): Refusal {
  return { status, error, remedy };
}

/** Compares digests, so that neither the length nor the first wrong byte of a guess shows in the time taken. */
function bearerMatches(authorization: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
  if (given === undefined) return false;
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}

/** Without a Host header it is no browser. An IP address cannot be rebound, a name can; `localhost` is fixed. */
function namesThisMachine(host: string | undefined): boolean {
  if (host === undefined) return true;
  const bare = host.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1");
  return isIP(bare) !== 0 || bare.toLowerCase() === "localhost";
}

function isOriginOf(origin: string, host: string | undefined): boolean {
  return host !== undefined && origin.toLowerCase() === `http://${host.toLowerCase()}`;
}
