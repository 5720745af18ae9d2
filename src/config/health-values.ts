import { InvalidValue } from "./problem.js";
import { show } from "./show.js";

/** The path of a health check, with a query if it has one. Throws InvalidValue. */
export function parseHealthPath(text: string): string {
  if (/^\/[\x21-\x7e]*$/.test(text) && !text.includes("#")) return text;
  throw invalid(text, "a request target", "one such as /healthz");
}

/** What a health check sends as Host. Throws InvalidValue. */
export function parseHealthHost(text: string): string {
  if (/^[\w.:[\]-]{1,255}$/.test(text)) return text;
  throw invalid(text, "a host", "one such as www.example.com");
}

/** Reads `200` or `200-399`: from one status to another, both included. Throws InvalidValue. */
export function parseStatusRange(value: unknown): [from: number, to: number] {
  const match = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(String(value));
  const from = Number(match?.[1]);
  const to = Number(match?.[2] ?? from);
  if (from <= to) return [from, to];
  throw invalid(value, "a status or a range of them", "one such as 204 or 200-399");
}

/** The text that `parseStatusRange` reads as this range. */
export function formatStatusRange([from, to]: readonly [number, number]): string {
  return from === to ? `${from}` : `${from}-${to}`;
}

/** Reads a number of standard deviations. Throws InvalidValue. */
export function parseFactor(value: unknown): number {
  if (typeof value === "number" && value >= 0 && value <= 100) return value;
  throw invalid(value, "possible here", "a number from 0 to 100 such as 1.9");
}

function invalid(value: unknown, what: string, expected: string): InvalidValue {
  return new InvalidValue("LS_CONFIG_VALUE", `${show(value)} is not ${what}, expected ${expected}`);
}
