/** node:http as an origin, inside the test process. */
import http from "node:http";
import type net from "node:net";
import { isWarmUpRequest } from "./warm-up.js";

export interface SeenRequest {
  method: string;
  url: string;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
  trailers: NodeJS.Dict<string>;
}

export type NodeHandler = (
  seen: SeenRequest,
  response: http.ServerResponse,
  request: http.IncomingMessage,
) => unknown;

export class NodeOrigin {
  requests: SeenRequest[] = [];
  readonly server: http.Server;

  /** The handler runs when the request is complete. */
  constructor(handler: NodeHandler) {
    this.server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { method, url, headers, trailers } = request;
        if (isWarmUpRequest(headers)) return response.end("warm");
        const seen = { method: method!, url: url!, headers, body: Buffer.concat(chunks), trailers };
        this.requests.push(seen);
        handler(seen, response, request);
      });
    });
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as net.AddressInfo).port}`;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
  }
}
