/**
 * The engines that every conformance case runs through. A new engine is added here, and has to pass all of it.
 */
import { describe } from "vitest";

export const ENGINES = ["copy", "pipe"] as const;
export type EngineName = (typeof ENGINES)[number];

/** Declares the same tests once for each engine. */
export function forEachEngine(title: string, declare: (engine: EngineName) => void): void {
  describe.each(ENGINES)(`${title} (%s engine)`, declare);
}
