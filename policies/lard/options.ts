import { z } from "../../src/policy/index.js";

/** Options of both policies. */
export const localityOptions = {
  low: z.int().min(2).default(25),
  high: z.int().max(1_000_000).default(65),
  entries: z.int().min(8).max(4_194_304).default(131_072),
  query: z.boolean().default(true),
};

/** The limits have an order. For `refine`. */
export const lowBelowHigh = ({ low, high }: { readonly low: number; readonly high: number }) => low < high;

/** What to say if they do not. */
export const lowNotBelowHigh = { message: "must be less than high", path: ["low"] };
