/** Reads the messages of a connection one after the other: strict, and fast enough for hundreds of thousands. */
import type { Socket } from "node:net";
import type { Field } from "./message.js";

export interface MixedMessage {
  readonly startLine: string;
  /** Names in lower case. */
  readonly fields: readonly Field[];
  readonly body: Buffer;
}

const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/;

/** The value of a field; throws when it is repeated. */
export function fieldOf({ fields }: Pick<MixedMessage, "fields">, name: string): string | undefined {
  const found = fields.filter(([key]) => key === name);
  if (found.length > 1) throw new Error(`${name} occurs ${found.length} times`);
  return found[0]?.[1];
}

export class MessageReader {
  #bytes: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake = (): void => undefined;

  constructor(socket: Socket) {
    socket.on("data", (bytes) => {
      this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
      this.#wake();
    });
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    socket.on("end", end).on("close", end).on("error", end);
  }

  /** The next message, or undefined at the end of the connection; throws when that is in the middle of one. */
  async next(hasBody = true): Promise<MixedMessage | undefined> {
    // Before a request, empty lines mean nothing (RFC 9112, 2.2).
    while (this.#bytes.subarray(0, 2).equals(LINE_END)) this.#take(2);
    if (this.#bytes.length === 0 && !(await this.#more())) return undefined;
    const [startLine, ...lines] = (await this.#takeUntil("\r\n\r\n")).toString("latin1").split("\r\n");
    const fields = lines.map((line): Field => {
      const match = FIELD.exec(line);
      if (match === null) throw new Error(`${JSON.stringify(line)} is no field`);
      return [match[1]!.toLowerCase(), match[2]!];
    });
    const body = hasBody ? await this.#body({ fields }) : NOTHING;
    return { startLine: startLine!, fields, body };
  }

  async #body(head: Pick<MixedMessage, "fields">): Promise<Buffer> {
    const length = fieldOf(head, "content-length");
    if (fieldOf(head, "transfer-encoding") === undefined) return this.#takeBytes(Number(length ?? 0));
    if (length !== undefined) throw new Error("two framings");
    const pieces: Buffer[] = [];
    for (;;) {
      const size = Number.parseInt((await this.#takeUntil("\r\n")).toString("latin1"), 16);
      if (size === 0) break;
      pieces.push(await this.#takeBytes(size));
      if (!(await this.#takeBytes(2)).equals(LINE_END)) throw new Error("a chunk without its end");
    }
    while ((await this.#takeUntil("\r\n")).length > 0);
    return Buffer.concat(pieces);
  }

  async #takeUntil(end: string): Promise<Buffer> {
    for (;;) {
      const at = this.#bytes.indexOf(end, 0, "latin1");
      if (at >= 0) return this.#take(at + end.length).subarray(0, at);
      if (!(await this.#more())) throw new Error("the connection ended in a message");
    }
  }

  async #takeBytes(count: number): Promise<Buffer> {
    while (this.#bytes.length < count) {
      if (!(await this.#more())) throw new Error("the connection ended in a body");
    }
    return this.#take(count);
  }

  #take(count: number): Buffer {
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  /** False when nothing will come any more. */
  async #more(): Promise<boolean> {
    const before = this.#bytes.length;
    if (!this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#bytes.length > before;
  }
}

const NOTHING = Buffer.alloc(0);
const LINE_END = Buffer.from("\r\n");
