/**
 * Both ends of the WebSocket test of the packet engine, each in a process of its own inside a network namespace.
 *
 *   packet-websocket-program.ts server PORT          echoes
 *   packet-websocket-program.ts client URL COUNT     sends COUNT messages of all sizes, expects them back, writes "right"
 *   packet-websocket-program.ts stay URL SECONDS     is silent but for pings and a message now and then, writes "right"
 */
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { type RawData, WebSocket, WebSocketServer } from "ws";
import { pattern } from "./build.js";

/** How many messages are under way at once, so that packets carry parts of several. */
const UNDER_WAY = 8;
/** While it stays, a ping comes that often, and a message with every tenth of them. */
const PING_MS = 300;
const MESSAGE_EVERY = 10;
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

async function open(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url);
  await new Promise<void>((resolve, reject) => socket.once("open", resolve).once("error", reject));
  return socket;
}

async function close(socket: WebSocket): Promise<void> {
  socket.removeAllListeners("close");
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  socket.close(1000);
  if ((await closed) !== 1000) throw new Error("the closing handshake failed");
}

async function stay(url: string, seconds: number): Promise<void> {
  const socket = await open(url);
  socket.once("close", (code) => {
    throw new Error(`closed with ${code}`);
  });
  const end = Date.now() + seconds * 1_000;
  for (let round = 0; Date.now() < end; round++) {
    const pong = once(socket, "pong");
    socket.ping();
    await pong;
    if (round % MESSAGE_EVERY === 0) {
      const echo = once(socket, "message");
      socket.send(message(round));
      if (!(await echo)[0].equals(message(round))) throw new Error(`message ${round} is wrong`);
    }
    await delay(PING_MS);
  }
  await close(socket);
  say("right");
}

async function talk(url: string, count: number): Promise<void> {
  const socket = await open(url);
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
  await close(socket);
  say("right");
}

const [role, where, count] = process.argv.slice(2);
if (role === "server") serve(Number(where));
else if (role === "stay") await stay(where!, Number(count));
else await talk(where!, Number(count));
