import type { Issue, Path } from "./problem.js";
import { type Fields, fields, issue, items } from "./raw.js";
import { show } from "./show.js";
import { parseDuration } from "./units.js";

/** A load is that of one place, and an agent has to be asked before its last answer is too old. */
export function loadRules(pool: Fields, path: Path): Issue[] {
  if (pool.load === undefined || pool.load === null) return [];
  const { source, interval = "2s", expires = "10s" } = fields(pool.load);
  if (items(pool.backends).some((each) => fields(each).address === "original-destination")) {
    const message =
      "the original destination is not one place that has a load, expected no load source or other backends";
    return [{ code: "LS_CONFIG_CONFLICT", path, part: "key", message }];
  }
  if (source === "header" || !(lasts(expires) <= lasts(interval))) return [];
  const message = `what is reported would expire between two questions, expected more than ${show(interval)} (interval)`;
  return [issue([...path, "expires"], "LS_CONFIG_CONFLICT", message)];
}

/** Of a duration that the schema accepts; another one is its business. */
function lasts(duration: unknown): number {
  try {
    return parseDuration(duration, 0);
  } catch {
    return Number.NaN;
  }
}
