/** A server of the simulated cluster: one processor, one disk, a cache. Times are microseconds. */
import { GreedyDualSize } from "./cache.js";

/** What things cost on the machine of the paper (300 MHz). */
export const costs = {
  setUp: 145,
  tearDown: 145,
  /** To send 512 bytes. */
  send512: 40,
  /** Two seeks and half a turn, before the first bytes of a file come from the disk. */
  seek: 28_000,
  /** One more seek, for each further block of a file. */
  seekAgain: 14_000,
  /** To read 4 KiB from the disk. */
  read4k: 410,
} as const;

/** Files are read, and sent, in blocks of this size. */
export const BLOCK = 44 * 1024;

/** A file on its way from the disk, for all connections that wait for it. */
interface Read {
  readonly file: number;
  readonly waiting: Connection[];
  /** Blocks that are in memory. */
  done: number;
}

/** A request on its way through a node. */
export interface Connection {
  file: number;
  /** When it was let in. */
  since: number;
  blocks: number;
  sent: number;
  /** Blocks that could be sent: all of a cached file. */
  ready: number;
  /** In the queue of the processor, or in work there. */
  busy: boolean;
  state: "set-up" | "sending";
}

export const idleConnection = (): Connection => ({
  file: 0,
  since: 0,
  blocks: 0,
  sent: 0,
  ready: 0,
  busy: false,
  state: "set-up",
});

/** First in, first out, without moving what is in it. */
class Queue<T> {
  private items: T[] = [];
  private head = 0;

  push(item: T): void {
    this.items.push(item);
  }

  shift(): T | undefined {
    if (this.head === this.items.length) return undefined;
    const item = this.items[this.head++];
    if (this.head > 1000 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }
}

export class Node {
  /** When processor and disk are done with what they do; Infinity: they have nothing to do. */
  cpuAt = Number.POSITIVE_INFINITY;
  diskAt = Number.POSITIVE_INFINITY;
  requests = 0;
  misses = 0;
  private readonly cpuQueue = new Queue<Connection>();
  private readonly diskQueue = new Queue<Read>();
  private readonly reads = new Map<number, Read>();
  private readonly cache: GreedyDualSize;
  private inWork: Connection | undefined;
  private reading: Read | undefined;

  /**
   * @param cpuSpeed as a multiple of the paper's machine
   * @param done is told when a connection is over
   */
  constructor(
    cacheBytes: number,
    private readonly cpuSpeed: number,
    private readonly sizes: Int32Array,
    private readonly done: (connection: Connection, now: number) => void,
  ) {
    this.cache = new GreedyDualSize(cacheBytes, sizes);
  }

  /** Lets a connection in. */
  accept(connection: Connection, now: number): void {
    connection.blocks = Math.ceil((this.sizes[connection.file] as number) / BLOCK);
    connection.sent = 0;
    connection.ready = 0;
    connection.state = "set-up";
    this.work(connection, now);
  }

  /** What the processor was doing is done; it is `cpuAt`. */
  cpuDone(): void {
    const now = this.cpuAt;
    const connection = this.inWork as Connection;
    connection.busy = false;
    this.inWork = undefined;
    this.cpuAt = Number.POSITIVE_INFINITY;
    if (connection.state === "set-up") this.look(connection, now);
    else connection.sent++;
    // Whoever is done may at once be let in again.
    if (connection.sent === connection.blocks) this.done(connection, now);
    else this.send(connection, now);
    this.nextForCpu(now);
  }

  /** A block came from the disk; it is `diskAt`. */
  diskDone(): void {
    const now = this.diskAt;
    const read = this.reading as Read;
    this.reading = undefined;
    this.diskAt = Number.POSITIVE_INFINITY;
    read.done++;
    for (const connection of read.waiting) {
      connection.ready = read.done;
      this.send(connection, now);
    }
    if (read.done * BLOCK < (this.sizes[read.file] as number)) {
      this.diskQueue.push(read);
    } else {
      this.reads.delete(read.file);
      this.cache.add(read.file);
    }
    this.nextForDisk(now);
  }

  /** The request is known: the file is in the cache, or on its way, or has to be read. */
  private look(connection: Connection, now: number): void {
    const { file } = connection;
    connection.state = "sending";
    this.requests++;
    if (this.cache.use(file)) {
      connection.ready = connection.blocks;
      return;
    }
    const read = this.reads.get(file);
    if (read !== undefined) {
      connection.ready = read.done;
      read.waiting.push(connection);
      return;
    }
    this.misses++;
    const fresh = { file, waiting: [connection], done: 0 };
    this.reads.set(file, fresh);
    this.diskQueue.push(fresh);
    this.nextForDisk(now);
  }

  /** Sends the next block, if there is one to send. */
  private send(connection: Connection, now: number): void {
    if (!connection.busy && connection.sent < connection.ready) this.work(connection, now);
  }

  private work(connection: Connection, now: number): void {
    connection.busy = true;
    this.cpuQueue.push(connection);
    this.nextForCpu(now);
  }

  private nextForCpu(now: number): void {
    if (this.inWork !== undefined) return;
    this.inWork = this.cpuQueue.shift();
    if (this.inWork !== undefined) this.cpuAt = now + this.cpuTime(this.inWork) / this.cpuSpeed;
  }

  private cpuTime({ file, sent, blocks, state }: Connection): number {
    if (state === "set-up") return costs.setUp;
    const time = Math.ceil(this.blockBytes(file, sent) / 512) * costs.send512;
    return sent + 1 === blocks ? time + costs.tearDown : time;
  }

  private nextForDisk(now: number): void {
    if (this.reading !== undefined) return;
    this.reading = this.diskQueue.shift();
    if (this.reading === undefined) return;
    const { file, done } = this.reading;
    const time = Math.ceil(this.blockBytes(file, done) / 4096) * costs.read4k;
    this.diskAt = now + time + (done === 0 ? costs.seek : costs.seekAgain);
  }

  private blockBytes(file: number, block: number): number {
    return Math.min(BLOCK, (this.sizes[file] as number) - block * BLOCK);
  }
}
