import type { ErrorCode } from "../errors/index.js";
import type { Issue, Path } from "./problem.js";

/** A mapping whose shape nobody has checked. */
export type Fields = Readonly<Record<string, unknown>>;

/** True for a mapping. */
export function isMapping(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A mapping; anything else counts as an empty one, because the schema refuses it anyway. */
export function fields(value: unknown): Fields {
  return isMapping(value) ? value : {};
}

/** A list; anything else counts as an empty one. */
export function items(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** An issue that a value is to blame for. */
export function issue(path: Path, code: ErrorCode, message: string): Issue {
  return { path, part: "value", code, message };
}
