/** What an origin process and the test that started it say to each other. */

/** How much content every origin process has: `pattern(CONTENT_BYTES)`. */
export const CONTENT_BYTES = 24_000_000;

export type OriginCommand = "close-idle" | "seen";
export type OriginReport =
  | { kind: "listening"; port: number }
  | { kind: "closed" }
  | { kind: "seen"; numbers: number[] };
