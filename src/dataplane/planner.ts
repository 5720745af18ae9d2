/** How the exchanges of a route are carried, and why not otherwise. */
export interface Carrier {
  /** What user space sees of them. */
  readonly forward: "exchange" | "connection";
  /** Who moves the bytes. */
  readonly engine: "copy" | "pipe" | "packet";
  /** For people, in a few words. */
  readonly why: string;
}

/** What is asked for: engine and forward mode as the configuration has them. */
export interface Asked {
  readonly engine: string;
  readonly forward: string;
}

/**
 * Decides how a route is carried. `auto` takes what sees everything: later requests of a connection that the packet engine
 * carries are seen by nobody, so that must be asked for, twice.
 */
export function planRoute({ engine, forward }: Asked): Carrier {
  const exchange = { forward: "exchange", engine: engine === "pipe" ? "pipe" : "copy" } as const;
  if (forward === "connection") {
    if (engine === "packet") return { forward, engine, why: "as configured" };
    return { ...exchange, why: "connection needs engine: packet" };
  }
  if (engine === "packet") return { ...exchange, engine, why: "heads and short bodies are copied" };
  if (forward === "exchange") return { ...exchange, why: "as configured" };
  return { ...exchange, why: "auto: every request is seen" };
}
