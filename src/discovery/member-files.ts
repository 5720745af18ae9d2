import type { Config } from "../config/index.js";
import { createLookup } from "./lookup.js";
import { readerOf } from "./sources.js";

/** What is wrong now with the files that pools watch, for people who check a configuration. Names are not looked up. */
export async function memberFileProblems(config: Config): Promise<string[]> {
  const sources = [...config.pools.values()].flatMap(({ discover }) => discover);
  const readings = sources
    .filter(({ file }) => file !== undefined)
    .map((source) => readerOf(source, createLookup([]))());
  const outcomes = await Promise.allSettled(readings);
  return outcomes.flatMap((each) => (each.status === "rejected" ? [(each.reason as Error).message] : []));
}
