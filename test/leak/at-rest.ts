/** What a process holds, apart from what V8 has not tidied up yet: that is more than a leak would be. */
import { openFds, rssBytes } from "../support/process-info.js";
import { delay } from "../support/wait.js";

const collectGarbage = new URL("collect-garbage.mjs", import.meta.url);

/** For the process to be measured. Without a limit, V8 lets its young generation grow with time. */
export const NODE_OPTIONS = `--max-semi-space-size=1 --import=${collectGarbage}`;

export interface Held {
  readonly fds: number;
  readonly rss: number;
}

/**
 * Asks for it when nothing is under way. The least of some samples: the connections that the process was polled by end a
 * little later, and V8 frees pages in the background.
 */
export async function atRest(pid: number): Promise<Held> {
  process.kill(pid, "SIGUSR2");
  let fds = openFds(pid);
  let rss = rssBytes(pid);
  for (let sample = 0; sample < 10; sample++) {
    await delay(50);
    fds = Math.min(fds, openFds(pid));
    rss = Math.min(rss, rssBytes(pid));
  }
  return { fds, rss };
}

/** How memory grows from one measurement to the next: the median, because V8 grows and shrinks by itself now and then. */
export function usualGrowth(measured: readonly Held[]): number {
  const growth = measured.slice(1).map(({ rss }, index) => rss - measured[index]!.rss);
  return growth.sort((a, b) => a - b)[Math.floor(growth.length / 2)]!;
}
