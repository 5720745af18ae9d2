/**
 * A sample origin of the demo, run as a child process: `demo-origin.ts NAME`. Sends its port to the parent once it
 * listens, and ends when the parent does.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const name = process.argv[2] ?? "origin";

/** What is under /static/: the same for every origin, big enough that moving bytes costs something. */
const page = Buffer.alloc(16 * 1024, "All work and no splice makes a proxy a dull box.\n");

const server = createServer((request, response) => {
  response.setHeader("x-origin", name);
  if (request.url?.startsWith("/static/")) {
    response.setHeader("content-length", page.length);
    response.end(page);
    return;
  }
  let received = 0;
  request.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  request.on("end", () => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ origin: name, method: request.method, path: request.url, received }));
  });
});

server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
process.on("disconnect", () => process.exit());
