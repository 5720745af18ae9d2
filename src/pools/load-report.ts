import { LOAD_ROW_CELLS, LoadCell, REPORTED_FIGURES, type ReportedFigure } from "../policy/load-layout.js";

/** What a backend says of its load, as far as it says anything: shares as fractions (1 = all that it can do), the others as counts. */
export type LoadFigures = Partial<Record<ReportedFigure, number>>;

const SHARES: ReadonlySet<ReportedFigure> = new Set(["cpu", "memory", "io", "utilization"]);
/** Cells of shares hold thousandths. */
const SHARE_UNITS = 1000;
/** The cell of the largest figure; a 32-bit cell has room for one more than that. */
const MOST = 2 ** 31 - 1;

/**
 * What backends report: the cells of the load table for it. The count of reports tells the main thread that somebody was heard, whichever
 * thread heard it, without a clock that threads would have to agree on.
 */
export class LoadReports {
  /** @param load the load table */
  constructor(private readonly load: Int32Array) {}

  /** Takes over a whole report: what it does not say is not known any more. */
  write(slot: number, figures: LoadFigures): void {
    const row = slot * LOAD_ROW_CELLS;
    for (const figure of REPORTED_FIGURES) {
      const value = cellOf(figure, figures[figure]);
      // Most reports repeat the one before, and a store takes the line from all others.
      if (Atomics.load(this.load, row + LoadCell[figure]) !== value) {
        Atomics.store(this.load, row + LoadCell[figure], value);
      }
    }
    this.heard(slot);
  }

  /** Notes that the backend has said something, whatever it was. */
  heard(slot: number): void {
    Atomics.add(this.load, slot * LOAD_ROW_CELLS + LoadCell.reports, 1);
  }

  /** Another number whenever the backend was heard since. */
  count(slot: number): number {
    return Atomics.load(this.load, slot * LOAD_ROW_CELLS + LoadCell.reports);
  }

  /** Forgets the figures. */
  clear(slot: number): void {
    const row = slot * LOAD_ROW_CELLS;
    for (const figure of REPORTED_FIGURES) Atomics.store(this.load, row + LoadCell[figure], 0);
  }

  /** The figures that are known now. */
  read(slot: number): LoadFigures {
    const figures: LoadFigures = {};
    for (const figure of REPORTED_FIGURES) {
      const cell = Atomics.load(this.load, slot * LOAD_ROW_CELLS + LoadCell[figure]);
      if (cell > 0) figures[figure] = SHARES.has(figure) ? (cell - 1) / SHARE_UNITS : cell - 1;
    }
    return figures;
  }
}

function cellOf(figure: ReportedFigure, value: number | undefined): number {
  if (value === undefined) return 0;
  const units = SHARES.has(figure) ? value * SHARE_UNITS : value;
  return 1 + Math.min(Math.round(units), MOST - 1);
}
