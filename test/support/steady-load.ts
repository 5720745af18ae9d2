/** Keep-alive clients that send one request after the other until they are told to stop. */
import { pattern } from "./build.js";
import { readResponse } from "./message.js";
import { CONTENT_BYTES } from "./origin-protocol.js";
import { Wire } from "./wire.js";

/** How one request ended. `begun`: at least one byte of a response had arrived. */
export interface Outcome {
  number: number;
  origin: string | undefined;
  failure: "none" | "refused" | "unanswered" | "begun" | "wrong";
  detail: string;
}

const content = pattern(CONTENT_BYTES);

export class SteadyLoad {
  readonly outcomes: Outcome[] = [];
  /** Connections that were made: more than clients if some had to connect again. */
  connections = 0;
  readonly #port: number;
  readonly #clients: Promise<void>[];
  #stopped = false;
  #next = 0;

  constructor(port: number, clients: number) {
    this.#port = port;
    this.#clients = Array.from({ length: clients }, (_, index) => this.#run(index));
  }

  /** Lets every client finish its request. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  failures(...kinds: Outcome["failure"][]): Outcome[] {
    return this.outcomes.filter(({ failure }) => kinds.includes(failure));
  }

  async #run(index: number): Promise<void> {
    let wire: Wire | undefined;
    while (!this.#stopped) {
      const number = this.#next++;
      try {
        wire ??= await this.#connect();
      } catch (error) {
        this.outcomes.push({ number, origin: undefined, failure: "refused", detail: String(error) });
        return;
      }
      if (!(await this.#exchange(wire, number, index))) {
        wire.destroy();
        wire = undefined;
      }
    }
    wire?.destroy();
  }

  #connect(): Promise<Wire> {
    this.connections++;
    return Wire.connect(this.#port);
  }

  /** Every fourth client asks for much, the others for little after a pause; true when the connection goes on. */
  async #exchange(wire: Wire, number: number, index: number): Promise<boolean> {
    const size = index % 4 === 0 ? 400_000 : 1_000;
    const delay = index % 4 === 0 ? 0 : 5 + (number % 30);
    wire.forget();
    const before = wire.receivedLength;
    void wire.send(
      `GET /x?number=${number}&offset=${number}&size=${size}&delay=${delay} HTTP/1.1\r\nhost: load.example\r\n\r\n`,
    );
    try {
      const { status, fields, body } = await readResponse(wire);
      const isRight = status === 200 && body.equals(content.subarray(number, number + size));
      const detail = isRight ? "" : `status ${status}, ${body.length} bytes`;
      this.outcomes.push({
        number,
        origin: fields.get("x-origin"),
        failure: isRight ? "none" : "wrong",
        detail,
      });
      return fields.get("connection") !== "close";
    } catch (error) {
      const failure = wire.receivedLength > before ? "begun" : "unanswered";
      this.outcomes.push({ number, origin: undefined, failure, detail: String(error) });
      return false;
    }
  }
}
