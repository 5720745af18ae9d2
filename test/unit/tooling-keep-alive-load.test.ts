import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { measureLoad } from "../../scripts/keep-alive-load.js";

/** A server that hands every request to `answer`; its address. */
async function serve(answer: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on("data", () => answer(socket));
    socket.on("error", () => {});
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("counts each answer once, however it is cut into pieces", async () => {
  let answers = 0;
  const whole = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789";
  const address = await serve((socket) => {
    const cut = (answers++ * 7) % whole.length;
    socket.setNoDelay(true);
    socket.write(whole.slice(0, cut));
    setTimeout(() => socket.write(whole.slice(cut)), 1);
  });
  const result = await measureLoad(address, "/", 2, 2);
  expect(result.failures).toBe(0);
  expect(result.requests).toBeGreaterThan(20);
  expect(result.bytes).toBe(result.requests * 9);
  // Each of the two connections may have one answer under way at the end.
  expect(answers - result.requests).toBeLessThanOrEqual(2);
});

test("an answer other than 200 is a failure", async () => {
  const address = await serve((socket) => socket.write("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"));
  const result = await measureLoad(address, "/", 1, 1);
  expect(result.requests).toBeGreaterThan(0);
  expect(result.failures).toBe(result.requests);
});

test("a connection that ends early is a failure", async () => {
  const address = await serve((socket) => socket.destroy());
  expect(await measureLoad(address, "/", 3, 0.2)).toMatchObject({ requests: 0, failures: 3 });
});
