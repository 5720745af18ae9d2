import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";

/** Settings of a {@link LineSink}; the defaults suit standard output. */
export interface LineSinkOptions {
  /** Bytes that may wait for a slow reader before whole writes are dropped and counted. */
  readonly maxBytes?: number;
}

const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;
const RETRY_MS = 2;
const FLUSH_LIMIT_MS = 250;
const NEWLINE = 0x0a;

/**
 * The one writer of the process's log output: diagnostic lines and access-log chunks go through the same queue, so
 * lines never interleave however the two sources mix.
 *
 * Everything is written from the main thread, once per event-loop turn, without blocking on a pipe: a write that
 * waits in libuv's thread pool cannot be cancelled, and a reader that stops reading would then keep the process from
 * ever exiting. Memory is bounded: when the reader is too slow, whole writes are dropped and their lines counted.
 *
 * No failure of the output reaches the caller. A closed pipe silences the sink for good; any other error (a full
 * disk) loses the lines at hand and the next ones are tried again.
 */
export class LineSink {
  readonly #fd: number;
  readonly #ownsFd: boolean;
  readonly #maxBytes: number;
  readonly #retrySleep = new Int32Array(new SharedArrayBuffer(4));
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #scheduled = false;
  #closed = false;
  #dropped = 0;

  /** @param fd a file descriptor open for writing; it stays the caller's to close. */
  constructor(fd: number, options: LineSinkOptions = {}) {
    const own = reopenWithoutBlocking(fd);
    this.#fd = own ?? fd;
    this.#ownsFd = own !== undefined;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  /** Lines lost so far: the reader was too slow, went away, or the disk was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Queues whole lines, each ending in a newline. A `Uint8Array` is not copied: the caller gives it away. */
  write(lines: string | Uint8Array): void {
    const bytes = typeof lines === "string" ? Buffer.from(lines) : lines;
    if (this.#closed || this.#queuedBytes + bytes.length > this.#maxBytes) {
      this.#dropped += countLines(bytes);
      return;
    }
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#schedule();
  }

  /** Writes what is queued now, waiting at most `limitMs` for a slow reader. pino calls it after a fatal line. */
  flushSync(limitMs: number = FLUSH_LIMIT_MS): void {
    const deadline = performance.now() + limitMs;
    while (!this.#drain() && performance.now() < deadline) Atomics.wait(this.#retrySleep, 0, 0, RETRY_MS);
  }

  /** Flushes like {@link flushSync}, then counts everything that is still queued, or comes later, as dropped. */
  close(limitMs: number = FLUSH_LIMIT_MS): void {
    if (this.#closed) return;
    this.flushSync(limitMs);
    this.#silence();
    if (this.#ownsFd) closeSync(this.#fd);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    if (this.#drain()) return;
    this.#scheduled = true;
    // Not unref'd: lines of the last moment should reach a reader that is slow but alive.
    setTimeout(() => this.#turn(), RETRY_MS);
  }

  /** Writes until the queue is empty (true) or the descriptor takes no more for now (false). */
  #drain(): boolean {
    while (this.#queue.length > 0) {
      // One system call for many short lines; the concatenation is cheaper than a call per line.
      const batch = this.#queue.length === 1 ? (this.#queue[0] as Uint8Array) : Buffer.concat(this.#queue);
      this.#queue = [batch];
      try {
        const written = writeSync(this.#fd, batch);
        this.#queuedBytes -= written;
        this.#queue = written === batch.length ? [] : [batch.subarray(written)];
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === "EAGAIN") return false;
        if (code === "EPIPE") this.#silence();
        else this.#discard();
      }
    }
    return true;
  }

  #discard(): void {
    for (const bytes of this.#queue) this.#dropped += countLines(bytes);
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #silence(): void {
    this.#closed = true;
    this.#discard();
  }
}

/**
 * A second descriptor for the pipe behind `fd` that never blocks, or undefined when `fd` is used itself. O_NONBLOCK
 * belongs to the open file description, which a shell shares between programs; opening anew leaves theirs alone.
 * A socket cannot be opened anew, so standard output is switched then, as any Node program does that prints to it.
 */
function reopenWithoutBlocking(fd: number): number | undefined {
  try {
    const target = fstatSync(fd);
    if (target.isSocket() && fd === 1) void process.stdout;
    if (!target.isFIFO()) return undefined;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  return lines;
}
