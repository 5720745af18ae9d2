/**
 * What all random choices of the tests follow from, loaded before every test file. Where CI is "true" it is the same in each
 * run, so that a change is judged by the cases that judged the one before it; elsewhere each run tries others. A property
 * that fails prints its seed, which LONGSPLICE_SEED repeats.
 */
import fc from "fast-check";

function readSeed(text: string): number {
  if (/^-?\d+$/.test(text)) return Number(text);
  throw new Error(`LONGSPLICE_SEED=${text}: expected a whole number`);
}

function chooseSeed({ CI, LONGSPLICE_SEED }: NodeJS.ProcessEnv): number {
  if (LONGSPLICE_SEED !== undefined) return readSeed(LONGSPLICE_SEED);
  return CI === "true" ? 20_260_101 : Math.floor(Math.random() * 2 ** 31);
}

export const SEED = chooseSeed(process.env);

fc.configureGlobal({ seed: SEED });
