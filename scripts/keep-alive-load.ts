/**
 * A small closed-loop load generator on raw sockets: each connection sends its next request when the answer to the
 * one before is complete. It parses only as much of an answer as it needs to know where it ends, so that it costs
 * less than what it measures.
 */
import { connect, type Socket } from "node:net";

export interface LoadResult {
  requests: number;
  /** Bytes of bodies. */
  bytes: number;
  seconds: number;
  /** Answers other than 200, and connections that ended before they were told to. */
  failures: number;
}

export const newLoadTotal = (): LoadResult => ({ requests: 0, bytes: 0, seconds: 0, failures: 0 });

export function addLoad(sum: LoadResult, part: LoadResult): void {
  sum.requests += part.requests;
  sum.bytes += part.bytes;
  sum.seconds += part.seconds;
  sum.failures += part.failures;
}

/**
 * Runs for the given time; every answer that is complete within it counts.
 *
 * @param address host:port
 */
export async function measureLoad(
  address: string,
  path: string,
  connections: number,
  seconds: number,
): Promise<LoadResult> {
  const [host = "", port] = address.split(":");
  const request = `GET ${path} HTTP/1.1\r\nhost: ${address}\r\n\r\n`;
  const total = newLoadTotal();
  let running = true;
  const open = (): Socket => {
    const socket = connect(Number(port), host);
    const answers = new AnswerCounter((status, bodyBytes) => {
      if (!running) return;
      total.requests++;
      total.bytes += bodyBytes;
      if (status !== 200) total.failures++;
      socket.write(request);
    });
    socket.setNoDelay(true);
    socket.on("connect", () => socket.write(request));
    socket.on("data", (chunk) => answers.push(chunk));
    socket.on("error", () => {}); // "close" follows and counts it
    socket.on("close", () => {
      if (running) total.failures++;
    });
    return socket;
  };
  const started = performance.now();
  const sockets = Array.from({ length: connections }, open);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  running = false;
  total.seconds = (performance.now() - started) / 1000;
  for (const socket of sockets) socket.destroy();
  return total;
}

/** Finds the ends of answers that have a Content-Length. */
class AnswerCounter {
  private head = "";
  private status = 0;
  private bodyBytes = 0;
  /** Body bytes still to come, or -1 while in a head. */
  private missing = -1;

  constructor(private readonly onAnswer: (status: number, bodyBytes: number) => void) {}

  push(chunk: Buffer): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.missing < 0) {
        offset = this.readHead(chunk, offset);
      } else {
        const taken = Math.min(this.missing, chunk.length - offset);
        this.missing -= taken;
        offset += taken;
      }
      if (this.missing === 0) {
        this.missing = -1;
        this.onAnswer(this.status, this.bodyBytes);
      }
    }
  }

  /** Takes what belongs to the head; returns where the rest begins. */
  private readHead(chunk: Buffer, offset: number): number {
    const before = this.head.length;
    this.head += chunk.toString("latin1", offset);
    const end = this.head.indexOf("\r\n\r\n");
    if (end < 0) return chunk.length;
    this.status = Number(this.head.slice(9, 12));
    this.bodyBytes = Number(/^content-length: *(\d+)/im.exec(this.head.slice(0, end))?.[1] ?? 0);
    this.missing = this.bodyBytes;
    this.head = "";
    return offset + end + 4 - before;
  }
}
