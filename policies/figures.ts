import type { Candidates } from "../src/policy/index.js";

/** Figures in thousandths of what a backend can do. */
export const SHARES = ["cpu", "memory", "io", "utilization"] as const;
/** Figures as they were counted. `connections` are the exchanges in flight, which the proxy counts itself. */
export const COUNTS = ["connections", "tcpConnections", "activeSockets", "queue"] as const;

/** A figure that a policy may go by. */
export type Figure = (typeof SHARES)[number] | (typeof COUNTS)[number];

/** Is it in thousandths? */
export const isShare = (figure: Figure): boolean => (SHARES as readonly string[]).includes(figure);

/** The figure of the candidate at a position; -1 if it is not known, or not any more. `connections` always is. */
export function figureAt(candidates: Candidates, position: number, figure: Figure): number {
  return figure === "connections" ? candidates.active(position) : candidates.reported(position, figure);
}
