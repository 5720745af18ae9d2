/**
 * An origin in a process of its own, started by `OriginProcess`: it can be killed, and it does not share a core with
 * the clients. `GET /any?offset=O&size=S` answers with that part of the well-known content; `&chunked=1` without a
 * length, `&delay=MS` later. Every answer names the origin, the number of the request and the hash of its body.
 */
import { createHash } from "node:crypto";
import http from "node:http";
import type net from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { pattern } from "./build.js";
import { CONTENT_BYTES, type OriginCommand, type OriginReport } from "./origin-protocol.js";

const [name, host, port] = process.argv.slice(2) as [string, string, string];
const content = pattern(CONTENT_BYTES);
const seen: number[] = [];

const server = http.createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (request, response) => {
  const hash = createHash("sha256");
  request.on("data", (chunk: Buffer) => hash.update(chunk));
  request.on("end", () => void answer(request, response, hash.digest("hex")));
});

async function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  bodyHash: string,
): Promise<void> {
  const query = new URL(request.url!, "http://origin").searchParams;
  const number = (key: string) => Number(query.get(key) ?? 0);
  seen.push(number("number"));
  if (number("delay") > 0) await delay(number("delay"));
  response.setHeader("x-origin", name);
  response.setHeader("x-number", number("number"));
  response.setHeader("x-body-sha256", bodyHash);
  const body = content.subarray(number("offset"), number("offset") + number("size"));
  if (query.has("chunked")) {
    for (let at = 0; at < body.length; at += 60_000) response.write(body.subarray(at, at + 60_000));
    response.end();
  } else {
    response.setHeader("content-length", body.length);
    response.end(body);
  }
}

const report = (message: OriginReport) => process.send!(message);

process.on("message", (command: OriginCommand) => {
  if (command === "close-idle") server.closeIdleConnections();
  report(command === "close-idle" ? { kind: "closed" } : { kind: "seen", numbers: seen });
});
// Never outlive the test that started it.
process.on("disconnect", () => process.exit(0));
server.listen({ port: Number(port), host, backlog: 1024 }, () =>
  report({ kind: "listening", port: (server.address() as net.AddressInfo).port }),
);
