import { Memo } from "../memo.js";

/** What a cacheable response says of itself. All names are lower case. */
export const CACHE_HEADERS: readonly string[] = [
  "cache-control",
  "content-length",
  "date",
  "expires",
  "last-modified",
  "pragma",
  "set-cookie",
  "vary",
];

/** Statuses that a cache may keep without being told for how long (RFC 9110, 15.1); of those that say something of the URL. */
const STATUSES: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414]);

/** Directives of Cache-Control, in lower case. */
const FORBIDS = /(?:^|[\s,])(?:no-store|no-cache|private)\b/;
const ALLOWS = /(?:^|[\s,])public\b/;
const SHARED_AGE = /(?:^|[\s,])s-maxage="?(\d+)/;
const AGE = /(?:^|[\s,])max-age="?(\d+)/;

/** What Cache-Control says: do not keep it, keep it, or go by the dates. */
const [NO, YES, BY_DATES] = [0, 1, 2];

/** Different values that are remembered, because matching leaves garbage: a site has a handful. */
const CONTROLS = 256;

/** A longer value is read each time: what is remembered has to have a bound. */
const LONGEST_CONTROL = 256;

const controls = new Memo(CONTROLS, verdictOf);

/** The part of a response that it depends on. */
export interface CacheFacts {
  readonly status: number;
  responseHeader(name: string): string | undefined;
}

/**
 * Whether a shared cache would keep the response for a while and use it again without asking (RFC 9111, 3 and 4.2). Stricter in one point:
 * what sets a cookie is taken to be for one client.
 */
export function isCacheable(response: CacheFacts): boolean {
  if (!STATUSES.has(response.status)) return false;
  if (response.responseHeader("set-cookie") !== undefined) return false;
  if (response.responseHeader("vary")?.includes("*")) return false;
  const control = response.responseHeader("cache-control");
  return control === undefined ? isFreshWithout(response) : isFreshBy(control, response);
}

function isFreshBy(control: string, response: CacheFacts): boolean {
  const verdict = control.length > LONGEST_CONTROL ? verdictOf(control) : controls.answer(control);
  return verdict === BY_DATES ? isFreshByDates(response) : verdict === YES;
}

function verdictOf(value: string): number {
  const control = value.toLowerCase();
  if (FORBIDS.test(control)) return NO;
  const age = SHARED_AGE.exec(control)?.[1] ?? AGE.exec(control)?.[1];
  if (age !== undefined) return Number(age) > 0 ? YES : NO;
  return ALLOWS.test(control) ? YES : BY_DATES;
}

function isFreshWithout(response: CacheFacts): boolean {
  if (response.responseHeader("pragma")?.toLowerCase().includes("no-cache")) return false;
  return isFreshByDates(response);
}

/** By Expires; without it caches guess from Last-Modified (RFC 9111, 4.2.2). */
function isFreshByDates(response: CacheFacts): boolean {
  const expires = response.responseHeader("expires");
  if (expires === undefined) return response.responseHeader("last-modified") !== undefined;
  const date = Date.parse(response.responseHeader("date") ?? "");
  // What is no date, like 0, is in the past.
  return Date.parse(expires) > (Number.isNaN(date) ? Date.now() : date) && !/^-?\d+$/.test(expires.trim());
}
