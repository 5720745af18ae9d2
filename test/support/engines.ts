/**
 * The engines that every conformance case runs through, and forward modes where an engine has several. A new one is added
 * in vitest.config.ts, and has to pass all of it.
 */
import { describe, inject } from "vitest";
import { loadAddon } from "../../src/dataplane/native.js";

export type EngineName = "copy" | "pipe" | "sockmap" | `packet-${"exchange" | "request" | "connection"}`;

declare module "vitest" {
  interface ProvidedContext {
    /** Those of the project that runs; packet's need a network namespace for themselves. */
    engines: readonly EngineName[];
  }
}

/** Not every kernel can do it, and none without privilege: then it is refused, and `sockmap-engine` tests that. */
export const sockmapUsable = (): boolean => loadAddon().probeSockmapEngine().status === "usable";

export const ENGINES: readonly EngineName[] = inject("engines").filter(
  (engine) => engine !== "sockmap" || sockmapUsable(),
);

/** Responses go past the proxy. */
export const linksRequests = (engine: EngineName | undefined): boolean =>
  engine === "packet-request" || engine === "packet-connection";

/** Declares the same tests once for each engine. */
export function forEachEngine(title: string, declare: (engine: EngineName) => void): void {
  describe.each(ENGINES)(`${title} (%s engine)`, declare);
}

/** What the command line says for it. */
export function engineFlags(name: EngineName): string[] {
  const [engine, forward] = name.split("-");
  return ["--engine", engine!, ...(forward === undefined ? [] : ["--forward", forward])];
}
