/** What the programs of the locality bench are told, and what the load generator reports. */
import type { SiteSpec } from "./site.js";

export interface OriginSpec {
  /** What it says in `x-origin`: its number, from 0. */
  readonly name: string;
  readonly port: number;
  readonly cacheBytes: number;
  /** Of the processor, for each request; 0: it does not count, and no load is reported. */
  readonly serviceMillis: number;
}

/** Requests with this field are served at once, whatever they would cost: they only fill the caches. */
export const warmUpField = "x-warm-up";

/** A part of a run. Users go on from one to the next without a pause; an answer belongs to the phase in which it ends. */
export interface PhaseSpec {
  /** Asked for by PUT when the phase begins. */
  readonly puts?: readonly string[];
  /** How long it is, in seconds; a warm-up instead has one pass of the site, as fast as it can be had. */
  readonly length: number | "warm-up";
}

export interface SurgeSpec {
  readonly site: SiteSpec;
  /** host:port */
  readonly address: string;
  readonly origins: number;
  /** User equivalents: each has one connection and one request at a time. */
  readonly users: number;
  /** What the seconds of the OFF times are multiplied by. */
  readonly offScale: number;
  readonly phases: readonly PhaseSpec[];
}

export interface PhaseReport {
  readonly seconds: number;
  readonly requests: number;
  /** Of all bodies. */
  readonly bytes: number;
  /** Answers that came from a cache. */
  readonly hits: number;
  /** From a request to the last byte of its answer, in milliseconds; variance in their square. */
  readonly delay: Readonly<Record<"mean" | "variance" | "p50" | "p99", number>>;
  /** Answers of each origin, by second. */
  readonly bySecond: readonly (readonly number[])[];
  /** How many requests failed, by what it was. */
  readonly errors: Readonly<Record<string, number>>;
}

export interface SurgeReport {
  readonly siteBytes: number;
  readonly phases: readonly PhaseReport[];
  /** CPU seconds of the load generator. */
  readonly cpuSeconds: number;
}
