import { setTimeout as delay } from "node:timers/promises";

export { delay };

/** How long a test waits for something that should happen at once, before it calls it missing. */
export const PATIENCE_MS = 15_000;

/** The same for a process that starts, which takes about a second of processor time: a busy machine has little of it. */
export const START_MS = 45_000;

/** Resolves with the promise, or rejects naming `what` when it takes longer than `ms`. */
export async function within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
  const abort = new AbortController();
  const late = delay(ms, undefined, { signal: abort.signal }).then(() => {
    throw new Error(`${what}: not within ${ms} ms`);
  });
  // The loser of the race is cancelled below; its rejection is nobody's business.
  late.catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    abort.abort();
  }
}

/** Polls until `check` gives something truthy; rejects naming `what` after `ms`. */
export async function eventually<T>(
  what: string,
  check: () => T | Promise<T>,
  ms = PATIENCE_MS,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + ms;
  for (;;) {
    const result = await check();
    if (result) return result as NonNullable<T>;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${ms} ms`);
    await delay(10);
  }
}

/** Something that one part of a test waits for and another part lets go. */
export class Gate {
  readonly passed: Promise<void>;
  open: () => void = () => undefined;

  constructor() {
    this.passed = new Promise((resolve) => {
      this.open = resolve;
    });
  }
}
