import { inspect } from "node:util";

/** What something says that code of others threw, whatever it is. Never throws: a proxy may refuse every look at it. */
export function messageOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error) return String(thrown.message) || thrown.name;
    return typeof thrown === "string" ? thrown : inspect(thrown);
  } catch {
    return "something that cannot be shown was thrown";
  }
}

/** Also true for a promise of another realm or library. */
export function isThenable(value: unknown): value is Promise<void> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
