/** What is assumed of a backend that has requests but no answer yet: worse than all that have answered. Microseconds. */
const UNKNOWN = 1e9;

/**
 * Turns an average time to the response head into how long a request may have to wait for its answer: the time of one, for each that
 * is before it and itself, by the backend's weight. A backend of which nothing is known gets one request to begin with.
 *
 * @param cells one of which has the time, microseconds, 0 if nothing was measured; and gets the result, because a fraction that is
 * passed or returned may be put on the heap
 */
export function timeToWait(cells: Float64Array, cell: number, active: number, weight: number): void {
  const micros = cells[cell] as number;
  const time = micros > 0 || active === 0 ? micros : UNKNOWN;
  cells[cell] = (time * (active + 1)) / weight;
}
