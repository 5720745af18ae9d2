/**
 * The engines that every conformance case runs through, and forward modes where an engine has several. A new one is added
 * in vitest.config.ts, and has to pass all of it.
 */
import { describe, inject } from "vitest";

export type EngineName = "copy" | "pipe" | "packet-exchange" | "packet-connection";

declare module "vitest" {
  interface ProvidedContext {
    /** Those of the project that runs; packet's need a network namespace for themselves. */
    engines: readonly EngineName[];
  }
}

export const ENGINES: readonly EngineName[] = inject("engines");

/** Declares the same tests once for each engine. */
export function forEachEngine(title: string, declare: (engine: EngineName) => void): void {
  describe.each(ENGINES)(`${title} (%s engine)`, declare);
}

/** What the command line says for it. */
export function engineFlags(name: EngineName): string[] {
  const [engine, forward] = name.split("-");
  return ["--engine", engine!, ...(forward === undefined ? [] : ["--forward", forward])];
}
