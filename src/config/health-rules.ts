import { nearest } from "./nearest.js";
import type { Issue, Path } from "./problem.js";
import { type Fields, fields, isMapping, issue, items } from "./raw.js";

/** What a check of one type does not look at. */
const HTTP_ONLY = ["path", "host", "status", "body"];

/** A misspelt key is one problem, not also a missing key. */
const meansPath = (key: string) => nearest(key, ["path", "port"]) === "path";

/** What is wrong with how a pool checks its backends, if no single value is. */
export function healthRules(pool: Fields, path: Path): Issue[] {
  const { health, backends } = pool;
  if (!isMapping(health)) return [];
  const at = [...path, "health"];
  const conflict = (where: Path, message: string): Issue => {
    return { code: "LS_CONFIG_CONFLICT", path: where, part: "key", message };
  };
  const issues: Issue[] = [];
  // Checks need one place to ask.
  if (items(backends).some((each) => fields(each).address === "original-destination")) {
    const message =
      "the original destination is not one place that could be checked, expected no health checks or other backends";
    issues.push(conflict(at, message));
  }
  if (health.type === "tcp") {
    const unused = HTTP_ONLY.filter((key) => health[key] !== undefined);
    const message = "a check of type tcp asks for nothing, expected type: http, or not this key";
    issues.push(...unused.map((key) => conflict([...at, key], message)));
  } else if (health.path === undefined && !Object.keys(health).some(meansPath)) {
    issues.push(issue(at, "LS_CONFIG_MISSING_KEY", 'the key "path" is missing'));
  }
  return issues;
}
