/**
 * Connections of every fate, many and fast: bare sockets on both ends, because the 100,000 of them must take less than a
 * minute beside the proxy on two cores.
 */
import net from "node:net";

const host = "host: test.example\r\n";
const ended = Buffer.from("\r\n\r\n");

/** How a client leaves: after that many heads, or after that time without waiting for any; by FIN or by RST. */
interface Fate {
  readonly sends: string;
  readonly until: { readonly heads: number } | { readonly afterMs: number } | "the other side closes";
  readonly leaves: "fin" | "rst";
  /** Status of every answer; a different one fails the test. */
  readonly status?: number;
}

const request = (path: string, extra = "", method = "GET") =>
  `${method} ${path} HTTP/1.1\r\n${host}${extra}\r\n`;

/** What happens to a connection, by name. The targets are those of {@link startOrigin} and of the routes. */
export const FATES = {
  keepAlive: { sends: request("/ok") + request("/ok"), until: { heads: 2 }, leaves: "rst", status: 200 },
  close: {
    sends: request("/ok", "connection: close\r\n"),
    until: "the other side closes",
    leaves: "fin",
    status: 200,
  },
  http10: { sends: "GET /ok HTTP/1.0\r\n\r\n", until: "the other side closes", leaves: "fin", status: 200 },
  body: {
    sends: `${request("/ok", "transfer-encoding: chunked\r\n", "POST")}3\r\nabc\r\n0\r\n\r\n`,
    until: { heads: 1 },
    leaves: "rst",
    status: 200,
  },
  silent: { sends: "", until: { afterMs: 1 }, leaves: "fin" },
  abortInHead: { sends: "GET /ok HTTP/1.1\r\nhost: test.ex", until: { afterMs: 1 }, leaves: "rst" },
  abortInBody: {
    sends: `${request("/ok", "content-length: 100\r\n", "POST")}abc`,
    until: { afterMs: 2 },
    leaves: "rst",
  },
  abortWhileWaiting: { sends: request("/hang"), until: { afterMs: 3 }, leaves: "rst" },
  backendCloses: { sends: request("/die", "", "POST"), until: { heads: 1 }, leaves: "rst", status: 502 },
  backendCutsBody: { sends: request("/cut"), until: "the other side closes", leaves: "fin", status: 200 },
  badRequest: {
    sends: "GET / HTTP/1.1\r\nhost : x\r\n\r\n",
    until: "the other side closes",
    leaves: "fin",
    status: 400,
  },
  noRoute: { sends: request("/nowhere"), until: { heads: 1 }, leaves: "rst", status: 404 },
  refused: { sends: request("/refused"), until: { heads: 1 }, leaves: "rst", status: 502 },
  upgrade: {
    sends: `${request("/upgrade", "connection: upgrade\r\nupgrade: echo\r\n")}ping\r\n\r\n`,
    until: { heads: 2 },
    leaves: "rst",
    status: 101,
  },
  abortInQueue: { sends: request("/queued"), until: { afterMs: 3 }, leaves: "rst" },
} satisfies Record<string, Fate>;

function heads(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(ended); at >= 0; at = bytes.indexOf(ended, at + 4)) count++;
  return count;
}

/** One connection from its beginning to its end; rejects when an answer is not what the fate says. */
export function live(port: number, { sends, until, leaves, status }: Fate): Promise<void> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const socket = net.connect({ port, host: "127.0.0.1" });
    const leave = () => (leaves === "rst" ? socket.resetAndDestroy() : socket.destroy());
    socket.on("data", (bytes) => {
      received = received.length === 0 ? bytes : Buffer.concat([received, bytes]);
      if (typeof until === "object" && "heads" in until && heads(received) >= until.heads) leave();
    });
    socket.on("connect", () => {
      if (sends !== "") socket.write(sends);
      if (typeof until === "object" && "afterMs" in until) setTimeout(leave, until.afterMs);
    });
    // A reset is one of the ends that are under test; the answer tells whether it was the right one.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      const line = received.toString("latin1", 0, 12);
      if (status === undefined || line === `HTTP/1.1 ${status}`) resolve();
      else reject(new Error(`${JSON.stringify(sends)} was answered with ${JSON.stringify(line)}`));
    });
  });
}

/** Lives `total` connections, `atOnce` at a time, taking the fates in turn. */
export async function churn(port: number, total: number, atOnce: number): Promise<void> {
  const fates: Fate[] = Object.values(FATES);
  let next = 0;
  const one = async () => {
    while (next < total) await live(port, fates[next++ % fates.length]!);
  };
  await Promise.all(Array.from({ length: atOnce }, one));
}

/** An origin that answers by the target, heads in one segment assumed. */
export class ChurnOrigin {
  readonly #sockets = new Set<net.Socket>();
  readonly #server = net.createServer((socket) => {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => answer(socket, bytes.toString("latin1")));
  });

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) =>
      this.#server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, resolve),
    );
    return this;
  }

  /** Ends every connection, idle ones included. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.disconnect();
    await closed;
  }
}

/**
 * Answers every request in what one read brought: on a kept connection, a request may come together with the end of the
 * body before it.
 */
function answer(socket: net.Socket, text: string): void {
  const paths = [...text.matchAll(/[A-Z]+ (\/\w+) HTTP\/1\.1\r\n/g)].map(([, path]) => path);
  for (const path of paths) answerTo(socket, path!);
  // The rest of a body needs no answer, and what follows an upgrade comes back.
  if (paths.length === 0 && text.includes("ping")) socket.write(text);
}

function answerTo(socket: net.Socket, path: string): void {
  if (path === "/ok") socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  else if (path === "/upgrade")
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
  else if (path === "/cut") socket.end("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort");
  else if (path === "/die") socket.destroy();
  // /hang and /queued get none.
}
