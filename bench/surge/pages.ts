/** Pages made of files, and the order in which they are asked for. */
import type { File } from "./files.js";
import { filesOfPage, stackDistances } from "./laws.js";
import type { Random } from "./random.js";

/** The paper's program has this limit too. */
const mostFiles = 150;

export interface Page {
  /** Numbers of its files, the most popular first: that one is in every view of the page. */
  readonly files: readonly number[];
  /** How many views of it a pass has. */
  readonly views: number;
}

/**
 * Groups files into pages. The files of a page are neighbours in popularity, so that nearly every view needs all of them;
 * those that are asked for less often than the page is viewed are, in some views, still in the cache of the browser.
 *
 * @param files the most popular first
 */
export function makePages(files: readonly File[], random: Random): Page[] {
  const pages: Page[] = [];
  for (let first = 0; first < files.length; ) {
    const wanted = Math.min(mostFiles, Math.round(filesOfPage.sample(random)), files.length - first);
    pages.push({
      files: Array.from({ length: wanted }, (_, index) => first + index),
      views: files[first]?.count ?? 0,
    });
    first += wanted;
  }
  return pages;
}

/** Which files the view of a page asks for. Over all views of a pass each file is asked for as often as it should be. */
export function filesOfView(page: Page, view: number, files: readonly File[]): number[] {
  const due = (count: number, views: number) => Math.floor((count * views) / page.views);
  return page.files.filter((number) => {
    const count = files[number]?.count ?? 0;
    return due(count, view + 1) > due(count, view);
  });
}

/**
 * The order of the views of a pass. Each is taken from an LRU stack of the pages that have views left, from a depth after
 * the law of stack distances; of the pages around that depth one is taken in proportion to the views that it has left, so that
 * the popular ones are used up as soon as the others.
 *
 * @returns numbers of pages
 */
export function orderViews(pages: readonly Page[], random: Random): number[] {
  const left = pages.map(({ views }) => views);
  const stack = startingOrder(pages, random);
  const order: number[] = [];
  while (stack.length > 0) {
    const depth = Math.max(1, Math.round(stackDistances.sample(random)));
    const position = pick(stack, Math.min(depth, stack.length), left, random);
    const [page = 0] = stack.splice(position, 1);
    order.push(page);
    left[page] = (left[page] ?? 0) - 1;
    if ((left[page] ?? 0) > 0) stack.unshift(page);
  }
  return order;
}

/** How far apart the views of a popular page come: about the median of the stack distances. */
const usualDistance = 4;

/**
 * Pages at random, so that every part of a pass is like the others; but those with many views begin early enough to have them
 * all. What would be left of them when the others are used up would come back to back.
 */
function startingOrder(pages: readonly Page[], random: Random): number[] {
  const total = pages.reduce((sum, { views }) => sum + views, 0);
  return pages
    .map(({ views }, page) => ({ page, begin: random() * Math.max(0, total - views * usualDistance) }))
    .sort((a, b) => a.begin - b.begin)
    .map(({ page }) => page);
}

/** Pages are considered from the depth divided by it to the depth times it. */
const window = 1.5;

/** @param depth from 1 to the height of the stack @returns a position in the stack */
function pick(stack: readonly number[], depth: number, left: readonly number[], random: Random): number {
  const first = Math.ceil(depth / window) - 1;
  const last = Math.min(stack.length, Math.floor(depth * window)) - 1;
  const weight = (position: number) => left[stack[position] ?? 0] ?? 0;
  let sum = 0;
  for (let position = first; position <= last; position++) sum += weight(position);
  let rest = random() * sum;
  for (let position = first; position < last; position++) {
    rest -= weight(position);
    if (rest < 0) return position;
  }
  return last;
}
