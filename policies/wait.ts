/** What is assumed of a backend that has requests but no answer yet: worse than all that have answered. Microseconds. */
export const UNKNOWN = 1e9;

/**
 * Turns an average time to the response head into how long a request may have to wait for its answer: the time of one, for each that
 * is before it and itself, by the backend's weight.
 *
 * @param cells one of which has the time, microseconds, `UNKNOWN`, or 0 if the next request is to find out, whatever is in flight; and
 * gets the result, because a fraction that is passed or returned may be put on the heap
 */
export function timeToWait(cells: Float64Array, cell: number, active: number, weight: number): void {
  cells[cell] = ((cells[cell] as number) * (active + 1)) / weight;
}
