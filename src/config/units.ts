import { InvalidValue } from "./problem.js";
import { show } from "./show.js";

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const SIZE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
};

/** Longest time that a timer of Node can wait (2^31 - 1 ms), in whole days. */
const LONGEST = 24 * 86_400_000;

/**
 * Reads `500ms`, `1.5s`, `5m`, `1h` as milliseconds. The unit is not optional: what a bare number means differs from
 * one proxy to the next.
 *
 * @throws InvalidValue LS_CONFIG_VALUE
 */
export function parseDuration(value: unknown, least: number): number {
  const match = typeof value === "string" ? /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)$/.exec(value) : null;
  const ms = match === null ? Number.NaN : scaled(match, DURATION_UNITS);
  if (Number.isNaN(ms))
    throw invalid(value, "a duration", "a number with a unit (ms, s, m, h, d), for example 10s");
  if (ms < least || ms > LONGEST || !Number.isInteger(ms)) {
    throw invalid(value, "possible here", `whole milliseconds from ${formatDuration(least)} to 24d`);
  }
  return ms;
}

/**
 * Reads bytes: `16KiB`, `1MB` (powers of ten, case does not matter) or a plain number.
 *
 * @throws InvalidValue LS_CONFIG_VALUE
 */
export function parseSize(value: unknown, least: number, most: number): number {
  const text = typeof value === "number" ? String(value) : value;
  const match = typeof text === "string" ? /^(\d+(?:\.\d+)?) ?([kmg]?i?b)?$/i.exec(text) : null;
  const bytes = match === null ? Number.NaN : scaled(match, SIZE_UNITS);
  if (Number.isNaN(bytes)) {
    throw invalid(value, "a size", "a number of bytes or one with a unit (B, KB, MB, GB, KiB, MiB, GiB)");
  }
  if (bytes < least || bytes > most || !Number.isInteger(bytes)) {
    throw invalid(value, "possible here", `whole bytes from ${formatSize(least)} to ${formatSize(most)}`);
  }
  return bytes;
}

/** The shortest text that `parseDuration` reads as this many milliseconds. */
export function formatDuration(ms: number): string {
  return withUnit(ms, DURATION_UNITS);
}

/** A text that `parseSize` reads as this many bytes; powers of two only, because those are what people choose. */
export function formatSize(bytes: number): string {
  const [unit, factor] =
    (bytes > 0 &&
      [["GiB", 1024 ** 3] as const, ["MiB", 1024 ** 2] as const, ["KiB", 1024] as const].find(
        ([, size]) => bytes % size === 0,
      )) ||
    (["B", 1] as const);
  return `${bytes / factor}${unit}`;
}

function withUnit(value: number, units: Readonly<Record<string, number>>): string {
  const exact = Object.entries(units).filter(([, factor]) => value % factor === 0);
  const [unit, factor] = (value > 0 ? exact.at(-1) : exact[0]) as [string, number];
  return `${value / factor}${unit}`;
}

function scaled(match: RegExpExecArray, units: Readonly<Record<string, number>>): number {
  const factor = units[(match[2] ?? "b").toLowerCase()];
  // 0.3 * 1000 is exact, 1.1 * 1000 is not: round to what the decimal fraction means.
  return factor === undefined ? Number.NaN : Number((Number(match[1]) * factor).toFixed(6));
}

function invalid(value: unknown, what: string, expected: string): InvalidValue {
  return new InvalidValue("LS_CONFIG_VALUE", `${show(value)} is not ${what}, expected ${expected}`);
}
