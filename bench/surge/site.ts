/** A made-up web site and the endless sequence of views of its pages. */
import { type File, makeFiles } from "./files.js";
import { filesOfView, makePages, orderViews, type Page } from "./pages.js";
import { type Random, seededRandom } from "./random.js";

export interface SiteSpec {
  readonly seed: number;
  readonly files: number;
  /** Bytes of the largest file that may be. */
  readonly largest: number;
}

export class Site {
  readonly files: readonly File[];
  readonly pages: readonly Page[];
  /** Requests until every file was asked for as often as it should be. */
  readonly requestsOfPass: number;
  private readonly random: Random;
  private order: number[] = [];
  private position = 0;
  private views: number[] = [];

  constructor({ seed, files, largest }: SiteSpec) {
    this.random = seededRandom(seed);
    this.files = makeFiles(files, largest, this.random);
    this.pages = makePages(this.files, this.random);
    this.requestsOfPass = this.files.reduce((sum, { count }) => sum + count, 0);
  }

  /** Bytes of all files together. */
  get bytes(): number {
    return this.files.reduce((sum, { size }) => sum + size, 0);
  }

  /** The files of the next view. When a pass is over, another one begins, in another order. */
  nextView(): number[] {
    if (this.position === this.order.length) {
      this.order = orderViews(this.pages, this.random);
      this.views = this.pages.map(() => 0);
      this.position = 0;
    }
    const number = this.order[this.position++] ?? 0;
    const page = this.pages[number];
    if (page === undefined) return [];
    const view = this.views[number] ?? 0;
    this.views[number] = view + 1;
    return filesOfView(page, view, this.files);
  }

  /** The path of a file at the origins of this bench. */
  pathOf(file: number): string {
    return `/${file}-${this.files[file]?.size}`;
  }
}
