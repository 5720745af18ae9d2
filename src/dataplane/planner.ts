/** How the exchanges of a route are carried, and why not for less. */
export interface Carrier {
  /** What user space sees of them: heads in both directions, those of requests, or what the kernel cannot decide. */
  readonly forward: ForwardMode;
  /** Who moves the bytes. */
  readonly engine: "copy" | "pipe" | "sockmap" | "packet";
  /** For people, in a few words: what keeps the route from a cheaper mode or engine. */
  readonly why: string;
}

/** From what sees most to what costs least. */
export type ForwardMode = "exchange" | "request" | "connection";

/** What there is to know of a route before traffic comes. */
export interface RouteFacts {
  /** As configured for the process. */
  readonly engine: "auto" | "copy" | "pipe" | "sockmap" | "packet";
  /** As configured for the route. */
  readonly forward: "auto" | ForwardMode;
  /** Why the packet engine cannot be used here; undefined if it can. */
  readonly packetObstacle?: string | undefined;
  /** The route sets request headers. */
  readonly setsRequestHeaders: boolean;
  /** The route or a policy of its pool sets or removes response headers. */
  readonly changesResponses: boolean;
  /** A policy of its pool learns from responses, or the load of its backends is in them. */
  readonly readsResponses?: boolean | undefined;
  /** The route looks at the path by a regular expression, or at headers. */
  readonly matchesBeyondKernel: boolean;
  /** `forwarded:` is configured, so every request is told who sent it. */
  readonly forwarded: boolean;
  /** What the pool's policies look at; undefined if nobody can tell before they are loaded. */
  readonly choosesBy?: "load" | "target" | "request" | undefined;
  /** The pool limits the exchanges of its backends. */
  readonly countsPlaces: boolean;
  /** The pool's backends are sent a PROXY header. */
  readonly proxyHeader: boolean;
}

/**
 * Decides how a route is carried: by the cheapest mode that still sees everything the route asks for, which is what `auto`
 * stands for, or by one that was asked for and sees more. The facts of single connections (options of TCP, interfaces) are
 * looked at when they come; what does not fit is copied then.
 */
export function planRoute(facts: RouteFacts): Carrier {
  const { engine, packetObstacle } = facts;
  if (engine === "pipe" || engine === "sockmap") {
    return { forward: "exchange", engine, why: `engine: ${engine} is configured` };
  }
  if (engine !== "packet" && engine !== "auto") {
    return { forward: "exchange", engine: "copy", why: `engine: ${engine} is configured` };
  }
  if (packetObstacle !== undefined) return { forward: "exchange", engine: "copy", why: packetObstacle };
  const [forward, why] = planMode(facts);
  return { forward, engine: "packet", why };
}

function planMode(facts: RouteFacts): [ForwardMode, string] {
  if (facts.forward === "exchange") return ["exchange", "forward: exchange is configured"];
  if (facts.changesResponses) return ["exchange", "it changes response headers"];
  if (facts.proxyHeader) return ["exchange", "a PROXY header opens each connection to its backends"];
  // Nobody is told of the end of a response that passes before the client's next request, and the place would be held until then.
  if (facts.countsPlaces) return ["exchange", "maxConnections counts requests until they end"];
  if (facts.forward === "request") return ["request", "forward: request is configured"];
  // Who asks for less gets it: the policies choose by what they know.
  if (facts.forward === "auto" && facts.readsResponses)
    return ["exchange", "responses tell policies of its pool something, or the load of its backends"];
  const reason = whySeen(facts);
  return reason === undefined ? ["connection", "nothing is cheaper"] : ["request", reason];
}

/** Why every request of a route has to be seen, if it has to. */
function whySeen(facts: RouteFacts): string | undefined {
  if (facts.matchesBeyondKernel) return "its match needs a regular expression or headers";
  if (facts.setsRequestHeaders) return "it sets request headers";
  if (facts.forwarded) return "forwarded: writes headers into each request";
  if (facts.choosesBy === "request") return "a policy of its pool looks at each request";
  return undefined;
}
