/**
 * Both ends of the test with mixed requests (mixed-requests.ts), each in a process of its own.
 *
 *   mixed-program.ts client HOST PORT SEED TOTAL   plays connections until that many requests were sent, and writes a ClientReport
 *   mixed-program.ts backends FILE POOL/NAME=PORT...   writes "ready", and into the file a BackendRecord for each request
 */
import { closeSync, openSync, writeSync } from "node:fs";
import net from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { chunked } from "./build.js";
import { fieldOf, MessageReader } from "./mixed-messages.js";
import { contentOf, digestOf, type MixedRequest, mixedConnection } from "./mixed-requests.js";

export interface ClientReport {
  connections: number;
  requests: number;
  /** What was wrong: nothing. */
  complaints: string[];
}

/** What a backend got: which one, the request line's first two words, the fields that routes depend on, and the body's digest. */
export type BackendRecord = readonly [
  pool: string,
  name: string,
  method: string,
  target: string,
  fields: readonly (readonly [string, string])[],
  digest: string,
];

const AT_ONCE = 64;
const PATIENCE_MS = 20_000;
const RECORDED = ["host", "x-id", "x-tier"];
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** What is sent in one go: requests are cut where they say, and joined where they do not. */
function pieces(batch: readonly MixedRequest[]): Buffer[] {
  const cut: Buffer[] = [];
  let joined: Buffer[] = [];
  for (const { bytes, cuts } of batch) {
    let from = 0;
    for (const at of cuts) {
      cut.push(Buffer.concat([...joined, bytes.subarray(from, at)]));
      [joined, from] = [[], at];
    }
    joined.push(bytes.subarray(from));
  }
  return [...cut, Buffer.concat(joined)];
}

async function send(socket: net.Socket, batch: readonly MixedRequest[]): Promise<void> {
  for (const piece of pieces(batch)) {
    if (piece.length === 0) continue;
    socket.write(piece);
    await nextTurn();
  }
}

/** What is wrong with the answer to a request, if anything. */
async function complaint(reader: MessageReader, request: MixedRequest): Promise<string | undefined> {
  const { id, method, goes, size } = request;
  const answer = await reader.next(method !== "HEAD");
  if (answer === undefined) return "no answer";
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer.startLine)?.[1]);
  const expected = "pool" in goes ? 200 : goes.status;
  if (status !== expected) return `${answer.startLine} instead of ${expected}`;
  if ("status" in goes) return undefined;
  if (fieldOf(answer, "x-id") !== id) return `the answer to ${fieldOf(answer, "x-id")}`;
  if (fieldOf(answer, "x-pool") !== goes.pool) return `answered by ${fieldOf(answer, "x-pool")}`;
  if (fieldOf(answer, "x-digest") !== digestOf(request.body)) return "the request's body was changed";
  const whole = method === "HEAD" || request.target === "*" ? 0 : size;
  return answer.body.equals(contentOf(id, whole)) ? undefined : "the response's body was changed";
}

async function playConnection(
  address: net.NetConnectOpts,
  [seed, connection]: readonly [number, number],
  report: ClientReport,
): Promise<void> {
  const socket = net.connect({ ...address, noDelay: true });
  socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  const reader = new MessageReader(socket);
  for (const batch of mixedConnection(seed, connection)) {
    report.requests += batch.length;
    void send(socket, batch);
    for (const request of batch) {
      const wrong = await complaint(reader, request).catch(String);
      if (wrong === undefined) continue;
      report.complaints.push(`${describe(request)}: ${wrong}`);
      socket.destroy();
      return;
    }
    if (batch.at(-1)!.closes && (await reader.next().catch(String)) !== undefined) {
      report.complaints.push(`${describe(batch.at(-1)!)}: something behind the last answer`);
    }
  }
  socket.destroy();
}

const describe = ({ id, bytes, goes }: MixedRequest): string =>
  `${id} for ${JSON.stringify(goes)}, ${JSON.stringify(bytes.toString("latin1", 0, 300))}`;

async function play(host: string, port: number, seed: number, total: number): Promise<void> {
  const report: ClientReport = { connections: 0, requests: 0, complaints: [] };
  const one = async () => {
    while (report.requests < total) {
      await playConnection({ host, port }, [seed, report.connections++], report);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  say(JSON.stringify({ ...report, complaints: report.complaints.slice(0, 20) }));
}

class Recorder {
  readonly #file: number;
  #lines = "";

  constructor(path: string) {
    this.#file = openSync(path, "w");
  }

  add(record: BackendRecord): void {
    this.#lines += `${JSON.stringify(record)}\n`;
    if (this.#lines.length > 100_000) this.#flush();
  }

  close(): void {
    this.#flush();
    closeSync(this.#file);
  }

  #flush(): void {
    writeSync(this.#file, this.#lines);
    this.#lines = "";
  }
}

async function serveConnection(socket: net.Socket, [pool, name]: [string, string], records: Recorder) {
  const reader = new MessageReader(socket);
  for (let message = await reader.next(); message !== undefined; message = await reader.next()) {
    const [method, target] = message.startLine.split(" ") as [string, string];
    const digest = digestOf(message.body);
    const fields = message.fields.filter(([key]) => RECORDED.includes(key));
    records.add([pool, name, method, target, fields, digest]);
    const id = fieldOf(message, "x-id") ?? "";
    const body = contentOf(id, Number(/[?&]size=(\d+)/.exec(target)?.[1] ?? 0));
    const isChunked = target.includes("&chunked");
    const framing = isChunked ? "transfer-encoding: chunked" : `content-length: ${body.length}`;
    const lines = [`x-id: ${id}`, `x-pool: ${pool}`, `x-digest: ${digest}`];
    const head = Buffer.from(`HTTP/1.1 200 OK\r\n${framing}\r\n${lines.join("\r\n")}\r\n\r\n`);
    const coded = isChunked ? chunked(body.length > 0 ? [body] : []) : body;
    socket.write(method === "HEAD" ? head : Buffer.concat([head, coded]));
    // Where a link carries requests as they are, it is the backend that ends the connection.
    if (message.startLine.endsWith("/1.0") || fieldOf(message, "connection") === "close") break;
  }
  socket.end();
}

async function serve(file: string, backends: readonly string[]): Promise<void> {
  const records = new Recorder(file);
  for (const backend of backends) {
    const [, pool, name, port] = /^(\w+)\/(\w+)=(\d+)$/.exec(backend)!;
    const server = net.createServer({ noDelay: true }, (socket) => {
      serveConnection(socket, [pool!, name!], records).catch((error) => {
        records.add([pool!, name!, "BROKEN", String(error), [], ""]);
        socket.destroy();
      });
    });
    await new Promise<void>((resolve) => server.listen(Number(port), "::", resolve));
  }
  process.once("SIGTERM", () => {
    records.close();
    process.exit();
  });
  say("ready");
}

const [role, first, ...rest] = process.argv.slice(2);
if (role === "client") await play(first!, ...(rest.map(Number) as [number, number, number]));
else if (role === "backends") await serve(first!, rest);
