/** What is assumed of a backend that has requests but no answer yet: worse than all that have answered. Microseconds. */
const UNKNOWN = 1e9;

/**
 * How long a request may have to wait for its answer: the time of one, for each that is before it and itself, by the backend's
 * weight. A backend of which nothing is known gets one request to begin with.
 *
 * @param micros average time to the response head; 0 if nothing was measured
 */
export function waitOf(micros: number, active: number, weight: number): number {
  const time = micros > 0 || active === 0 ? micros : UNKNOWN;
  return (time * (active + 1)) / weight;
}
