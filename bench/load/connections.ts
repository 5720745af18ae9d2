/** Connections that have two requests answered and then stay: longsplice makes a link at the second one. */
import { connect, type Socket } from "node:net";

/** Source addresses: each has ports enough for its share, whatever else uses ports. */
const sources = Array.from({ length: 10 }, (_, index) => `127.0.1.${index + 1}`);
const openedAtOnce = 50;
const answerTimeout = 10_000;

const requestsEach = 2;

/** Opens a connection and resolves when all its answers (without a body) are there. */
function openOne(address: string, source: string): Promise<Socket> {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    const socket = connect({ host: host ?? "", port: Number(port), localAddress: source });
    let answer = "";
    let answered = 0;
    const ask = () => socket.write(`GET /0 HTTP/1.1\r\nHost: ${address}\r\n\r\n`);
    const fail = (what: string) => {
      socket.destroy();
      reject(new Error(`a connection from ${source} to ${address}: ${what}`));
    };
    socket.setTimeout(answerTimeout, () => fail("no answer in time"));
    socket.once("error", (error) => fail(error.message));
    socket.once("close", () => fail("closed"));
    ask();
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
      if (!answer.includes("\r\n\r\n")) return;
      if (!answer.startsWith("HTTP/1.1 200 ")) return fail(answer.slice(0, 60));
      answer = "";
      if (++answered < requestsEach) return ask();
      socket.setTimeout(0);
      socket.removeAllListeners();
      socket.on("error", () => {}); // it is destroyed then, and that is what is counted
      socket.resume(); // an end would not be noticed without reading
      resolve(socket);
    });
  });
}

/** Opens some connections at a time, so that no queue overflows. They are put into `opened`. */
export async function openMany(count: number, addresses: readonly string[], opened: Socket[]): Promise<void> {
  while (opened.length < count) {
    const batch = Math.min(openedAtOnce, count - opened.length);
    const begun = Array.from({ length: batch }, (_, index) => {
      const number = opened.length + index;
      const address = addresses[number % addresses.length] ?? "";
      return openOne(address, sources[number % sources.length] ?? "");
    });
    opened.push(...(await Promise.all(begun)));
  }
}
