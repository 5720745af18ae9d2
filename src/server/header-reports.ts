import type { LoadFigures, LoadReports } from "../pools/load-report.js";
import { parseOrca } from "../pools/orca.js";

/**
 * Takes the load of one pool's backends out of their responses. Most responses repeat the report of the one before, so
 * the text is compared before it is read.
 */
export class HeaderReports {
  /** By slot. */
  private readonly last = new Map<number, { readonly text: string; readonly figures: LoadFigures }>();

  constructor(private readonly reports: LoadReports) {}

  /** Takes the value of the header in one response; a value that is no report changes nothing. */
  note(slot: number, text: string): void {
    let last = this.last.get(slot);
    if (last?.text !== text) {
      const figures = parseOrca(text);
      if (figures === undefined) return;
      last = { text, figures };
      this.last.set(slot, last);
    }
    // Also when nothing has changed: it may have been forgotten in between, because it was too old.
    this.reports.write(slot, last.figures);
  }
}
