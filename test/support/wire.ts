/**
 * A TCP connection as a test sees it: bytes in, bytes out, and how it ended. Both the raw clients and the raw origins
 * are made of it. Nothing here knows HTTP.
 */
import net from "node:net";
import { delay, PATIENCE_MS, within } from "./wait.js";

/** How the other side ended the connection. */
export type WireEnd = "fin" | "reset";

/** Text stands for bytes one to one (latin1), so a test can write any octet as an escape. */
export type Bytes = string | Uint8Array;

export const toBuffer = (bytes: Bytes): Buffer =>
  typeof bytes === "string" ? Buffer.from(bytes, "latin1") : Buffer.from(bytes);

/** The other side closed before the bytes that were waited for had arrived. */
export class WireClosed extends Error {
  readonly end: WireEnd;
  constructor(end: WireEnd, waitedFor: string, unread: Buffer) {
    const shown = JSON.stringify(unread.subarray(0, 200).toString("latin1"));
    super(`connection ended (${end}) while waiting for ${waitedFor}; unread: ${shown}`);
    this.end = end;
  }
}

export class Wire {
  readonly socket: net.Socket;
  /** Milliseconds that one read may take. */
  patience = PATIENCE_MS;
  #record: Buffer[] = [];
  #unread: Buffer[] = [];
  #unreadLength = 0;
  #receivedLength = 0;
  #end: WireEnd | undefined;
  #wake: (() => void)[] = [];

  /** `hides` gets each packet as it arrives, and says whether nobody else shall hear of it. */
  constructor(socket: net.Socket, hides?: (chunk: Buffer) => boolean) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      if (hides?.(chunk)) return;
      this.#record.push(chunk);
      this.#unread.push(chunk);
      this.#unreadLength += chunk.length;
      this.#receivedLength += chunk.length;
      this.#notify();
    });
    socket.on("end", () => this.#finish("fin"));
    socket.on("error", () => this.#finish("reset"));
    socket.on("close", (failed: boolean) => this.#finish(failed ? "reset" : "fin"));
  }

  /** Connects over loopback. The connection can be half-closed by either side. */
  static async connect(port: number, host = "127.0.0.1"): Promise<Wire> {
    const socket = net.connect({ port, host, allowHalfOpen: true });
    await within(
      new Promise<void>((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("error", reject);
      }),
      PATIENCE_MS,
      `connect to ${host}:${port}`,
    );
    return new Wire(socket);
  }

  /** Every byte that ever arrived, read or not. */
  get received(): Buffer {
    return Buffer.concat(this.#record);
  }

  get receivedLength(): number {
    return this.#receivedLength;
  }

  /** How the other side ended the connection, or undefined while it is open. */
  get end(): WireEnd | undefined {
    return this.#end;
  }

  /** Forgets the record of what arrived, so that long-lived connections do not hold gigabytes. */
  forget(): void {
    this.#record = [];
    this.#receivedLength = 0;
  }

  /** Writes; resolves when the kernel took all of it. Never rejects: a broken connection shows in the reads. */
  send(...parts: Bytes[]): Promise<void> {
    return new Promise((resolve) => {
      this.socket.write(Buffer.concat(parts.map(toBuffer)), () => resolve());
    });
  }

  /** Writes in pieces of `size` bytes, each in a segment of its own. */
  async dribble(bytes: Bytes, size = 1, pauseMs = 1): Promise<void> {
    const buffer = toBuffer(bytes);
    for (let at = 0; at < buffer.length; at += size) {
      await this.send(buffer.subarray(at, at + size));
      await delay(pauseMs);
    }
  }

  /** Sends FIN; the other direction stays open. */
  finish(): void {
    this.socket.end();
  }

  /** Ends both directions with RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Stops reading, so that the kernel's buffers fill up; `resume` goes on. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  async readExactly(count: number): Promise<Buffer> {
    await this.#until(() => this.#unreadLength >= count, `${count} bytes`);
    return this.#take(count);
  }

  /** A line that ends in CRLF, without it. A bare LF is an error. */
  async readLine(): Promise<Buffer> {
    const found = await this.#find("\n", "a line");
    const line = this.#take(found + 1);
    if (line.length < 2 || line[line.length - 2] !== 0x0d) {
      throw new Error(`line without CRLF: ${JSON.stringify(line.toString("latin1"))}`);
    }
    return line.subarray(0, -2);
  }

  /** All bytes up to and including the empty line that ends a head. */
  async readHead(): Promise<Buffer> {
    const found = await this.#find("\r\n\r\n", "a complete head");
    return this.#take(found + 4);
  }

  /** Everything until the other side closes; rejects when it ends by RST, unless that is allowed. */
  async readToEnd(options: { allowReset?: boolean } = {}): Promise<Buffer> {
    const end = await this.ended();
    if (end === "reset" && !options.allowReset) throw new WireClosed(end, "a clean end", this.#peek());
    return this.#take(this.#unreadLength);
  }

  /** Waits until at least one unread byte is there; false when the other side closed instead. */
  async hasMore(patience = this.patience): Promise<boolean> {
    await this.#wait(
      () => this.#unreadLength > 0 || this.#end !== undefined,
      "more bytes or the end",
      patience,
    );
    return this.#unreadLength > 0;
  }

  /** Waits until the other side ended the connection. */
  async ended(patience = this.patience): Promise<WireEnd> {
    await this.#wait(() => this.#end !== undefined, "the end of the connection", patience);
    return this.#end!;
  }

  #peek(): Buffer {
    if (this.#unread.length !== 1) this.#unread = [Buffer.concat(this.#unread)];
    return this.#unread[0]!;
  }

  #take(count: number): Buffer {
    const all = this.#peek();
    this.#unread = [all.subarray(count)];
    this.#unreadLength -= count;
    return all.subarray(0, count);
  }

  async #find(text: string, what: string): Promise<number> {
    let found = -1;
    await this.#until(() => {
      found = this.#peek().indexOf(text, 0, "latin1");
      return found >= 0;
    }, what);
    return found;
  }

  async #until(ready: () => boolean, what: string): Promise<void> {
    await this.#wait(() => ready() || this.#end !== undefined, what, this.patience);
    if (!ready()) throw new WireClosed(this.#end!, what, this.#peek());
  }

  async #wait(ready: () => boolean, what: string, patience: number): Promise<void> {
    const deadline = performance.now() + patience;
    while (!ready()) {
      const left = deadline - performance.now();
      if (left <= 0) {
        const unread = JSON.stringify(this.#peek().subarray(0, 200).toString("latin1"));
        throw new Error(`waiting for ${what} took more than ${patience} ms; unread: ${unread}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #finish(end: WireEnd): void {
    this.#end ??= end;
    this.#notify();
  }

  #notify(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}
