/**
 * What all random choices of the tests follow from, loaded before every test file. It is the same in each run, so that a
 * change is judged by the cases that judged the one before it. LONGSPLICE_SEED tries others: a whole number, or "random".
 * A property that fails prints its seed.
 */
import fc from "fast-check";

function readSeed(text: string): number {
  if (text === "random") return Math.floor(Math.random() * 2 ** 31);
  if (/^-?\d+$/.test(text)) return Number(text);
  throw new Error(`LONGSPLICE_SEED=${text}: expected a whole number or "random"`);
}

export const SEED = readSeed(process.env.LONGSPLICE_SEED ?? "20260101");

fc.configureGlobal({ seed: SEED });
