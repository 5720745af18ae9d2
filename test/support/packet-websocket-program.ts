/**
 * Both ends of the WebSocket test of the packet engine, each in a process of its own inside a network namespace.
 *
 *   packet-websocket-program.ts server PORT          echoes
 *   packet-websocket-program.ts client URL COUNT     sends COUNT messages of all sizes, expects them back, writes "right"
 */
import { type RawData, WebSocket, WebSocketServer } from "ws";
import { pattern } from "./build.js";

/** How many messages are under way at once, so that packets carry parts of several. */
const UNDER_WAY = 8;
const SIZES = [0, 1, 125, 126, 1_400, 65_535, 65_536, 300_000];

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const message = (number: number): Buffer =>
  pattern(SIZES[number % SIZES.length]! + (number % 97), number + 1);

function serve(port: number): void {
  const server = new WebSocketServer({ port, host: "::" }, () => say("ready"));
  server.on("connection", (socket) => {
    socket.on("message", (data: RawData, isBinary: boolean) => socket.send(data, { binary: isBinary }));
  });
}

async function talk(url: string, count: number): Promise<void> {
  const socket = new WebSocket(url);
  await new Promise<void>((resolve, reject) => socket.once("open", resolve).once("error", reject));
  let [sent, received] = [0, 0];
  const sendNext = (): void => {
    if (sent < count) socket.send(message(sent++));
  };
  const done = new Promise<void>((resolve, reject) => {
    socket.once("close", (code) => reject(new Error(`closed with ${code} after ${received} messages`)));
    socket.on("message", (data: Buffer) => {
      if (!data.equals(message(received))) reject(new Error(`message ${received} is wrong`));
      received++;
      if (received === count) resolve();
      sendNext();
    });
  });
  for (let i = 0; i < UNDER_WAY; i++) sendNext();
  await done;
  socket.removeAllListeners("close");
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  socket.close(1000);
  if ((await closed) !== 1000) throw new Error("the closing handshake failed");
  say("right");
}

const [role, where, count] = process.argv.slice(2);
if (role === "server") serve(Number(where));
else await talk(where!, Number(count));
