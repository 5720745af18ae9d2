/**
 * An origin made of bare TCP: it records every byte that it gets and sends exactly what a script says, right or wrong.
 */
import net from "node:net";
import { type RequestMessage, readRequest } from "./message.js";
import { delay, eventually } from "./wait.js";
import { isWarmUp, WARM_UP_ANSWER } from "./warm-up.js";
import { type Bytes, Wire } from "./wire.js";

/** What the origin does with one connection; `index` counts the connections since the last `reset`. */
export type OriginScript = (wire: Wire, index: number) => Promise<void> | void;

export class RawOrigin {
  /** The requests that `answer` read completely, in the order of their arrival. */
  requests: RequestMessage[] = [];
  connections: Wire[] = [];
  /** Those on which nothing but warm-ups came yet. */
  #unused = new Set<Wire>();
  #failures: unknown[] = [];
  #script: OriginScript = () => undefined;
  #isResetting = false;
  #server: net.Server | undefined;
  #port = 0;

  get port(): number {
    return this.#port;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Every byte of every connection since the last `reset`, connection after connection. */
  get received(): Buffer {
    return Buffer.concat(this.connections.map((wire) => wire.received));
  }

  async start(): Promise<this> {
    this.#server = net.createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
    await new Promise<void>((resolve) => this.#server!.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as net.AddressInfo).port;
    return this;
  }

  /** Runs on each connection from now on. What it throws fails the test, through `reset`. */
  script(script: OriginScript): void {
    this.#script = script;
  }

  /**
   * Reads whole requests, keeps them in `requests`, and sends what `responder` gives for each. The connection stays
   * open until the other side closes it.
   */
  answer(responder: Bytes | ((request: RequestMessage, wire: Wire) => Bytes | Promise<Bytes>)): void {
    this.script((wire) => this.serve(wire, responder));
  }

  /** What `answer` does, for one connection of a script. */
  async serve(
    wire: Wire,
    responder: Bytes | ((request: RequestMessage, wire: Wire) => Bytes | Promise<Bytes>),
  ): Promise<void> {
    // What still lies unread at a reset belongs to the test before.
    const { requests } = this;
    while (await wire.hasMore(60_000)) {
      const message = await readRequest(wire);
      requests.push(message);
      await wire.send(typeof responder === "function" ? await responder(message, wire) : responder);
    }
    wire.finish();
  }

  /** The request at that place, once it arrived. */
  async request(index = 0): Promise<RequestMessage> {
    return eventually(`request ${index} at the origin`, () => this.requests[index]);
  }

  /** The connection at that place, once it was made. */
  async connection(index = 0): Promise<Wire> {
    return eventually(`connection ${index} at the origin`, () => this.connections[index]);
  }

  /**
   * Ends all connections and forgets what was recorded, so that the next test starts clean. Waits until the proxy
   * closed its side too, or it could still pick such a connection for the next test's first request.
   */
  async reset(): Promise<void> {
    const failures = this.#failures;
    this.#isResetting = true;
    this.#script = () => undefined;
    await Promise.all([...this.connections, ...this.#unused].map(closeGently));
    // Those that came meanwhile had no script to wait for.
    for (const wire of [...this.connections, ...this.#unused]) wire.destroy();
    this.connections = [];
    this.#unused.clear();
    this.requests = [];
    this.#failures = [];
    this.#isResetting = false;
    if (failures.length > 0) throw new AggregateError(failures, `origin: ${failures.map(String).join("; ")}`);
  }

  /** Stops listening and closes everything; `start` listens on the same port again. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (!server?.listening) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const wire of [...this.connections, ...this.#unused]) wire.destroy();
    await closed;
  }

  /** A connection begins with its first packet that is not a warm-up. */
  #accept(socket: net.Socket): void {
    const wire: Wire = new Wire(socket, (packet) => {
      const hidden = isWarmUp(packet);
      if (hidden) socket.write(WARM_UP_ANSWER);
      else if (this.#unused.delete(wire)) this.#begin(wire);
      return hidden;
    });
    this.#unused.add(wire);
    socket.once("close", () => this.#unused.delete(wire));
  }

  #begin(wire: Wire): void {
    const index = this.connections.push(wire) - 1;
    Promise.resolve(this.#script(wire, index)).catch((error: unknown) => {
      // A script that is still reading when its test is over is not a failure.
      if (!this.#isResetting) this.#failures.push(error);
    });
  }
}

async function closeGently(wire: Wire): Promise<void> {
  wire.resume();
  wire.finish();
  await Promise.race([wire.ended().catch(() => undefined), delay(300)]);
  wire.destroy();
}
