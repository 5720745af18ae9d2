/** A client and an origin that do as little as possible, for counting requests: the proxy shall be what is measured. */
import net from "node:net";
import { onTestFinished } from "vitest";
import { request } from "./build.js";

const ANSWER = `HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n${"x".repeat(100)}`;
const HEAD_END = "\r\n\r\n";

/** Answers every head that arrives in one piece. Returns its address. */
export async function startQuickOrigin(): Promise<string> {
  const open = new Set<net.Socket>();
  const server = net.createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.on("data", (bytes) => {
      if (bytes.includes(HEAD_END)) socket.write(ANSWER);
    });
    socket.on("error", () => undefined);
    socket.once("close", () => open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}

/** How many requests some keep-alive clients get answered in that time, each with one request under way. */
export async function countAnswers(port: number, clients: number, ms: number): Promise<number> {
  const bytes = request("GET /quick HTTP/1.1");
  const deadline = performance.now() + ms;
  let answers = 0;
  const client = async () => {
    const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("a quick client was thrown out")));
      let received = 0;
      let length = 0;
      socket.on("data", (chunk) => {
        // All answers are equally long; the first one says how long.
        if (length === 0) length = chunk.indexOf(HEAD_END) + HEAD_END.length + 100;
        received += chunk.length;
        if (received < length) return;
        received = 0;
        answers++;
        if (performance.now() < deadline) socket.write(bytes);
        else resolve();
      });
      socket.write(bytes);
    });
    socket.destroy();
  };
  await Promise.all(Array.from({ length: clients }, client));
  return answers;
}
