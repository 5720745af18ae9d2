/**
 * `origin.ts '<OriginSpec as JSON>'`: a backend with a bounded cache over a slow store, and a processor of bounded speed. Both are
 * made up: they cost time, not the machine's power, so that eight of them fit on two cores.
 *
 *   GET /17-5321          file 17, which has 5321 bytes
 *   PUT /empty            forget the cache
 *   PUT /taken/0.6        somebody else has that share of the processor
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Cache } from "./cache.js";
import { type OriginSpec, warmUpField } from "./protocol.js";
import { readMillis, Station } from "./station.js";

const spec = JSON.parse(process.argv[2] ?? "") as OriginSpec;
const cache = new Cache(spec.cacheBytes);
const disk = new Station();
const processor = new Station();
/** Files on their way from the disk: who asks for one of them meanwhile waits for the same reading. */
const reading = new Map<string, Promise<void>>();
const content = Buffer.alloc(1 << 22, "longsplice locality bench\n");

/** Between two looks at what the processor did. */
const lookMillis = 200;
let utilization = 0;

function watchProcessor(): void {
  let [last, busy] = [performance.now(), 0];
  setInterval(() => {
    const [now, busyNow] = [performance.now(), processor.busyMillis()];
    const own = (busyNow - busy) / (now - last);
    // Work at a processor of which others have a share keeps it busy only with the rest.
    const all = processor.taken + (1 - processor.taken) * own;
    utilization += (all - utilization) / 2;
    [last, busy] = [now, busyNow];
  }, lookMillis);
}

async function fetchFile(path: string, size: number, free: boolean): Promise<"hit" | "miss"> {
  if (cache.touch(path)) return "hit";
  let ready = reading.get(path);
  if (ready === undefined) {
    ready = (free ? Promise.resolve() : disk.work(readMillis(size))).then(() => {
      reading.delete(path);
      cache.add(path, size);
    });
    reading.set(path, ready);
  }
  await ready;
  return "miss";
}

async function get(path: string, size: number, free: boolean, response: ServerResponse): Promise<void> {
  const found = await fetchFile(path, size, free);
  const counts = spec.serviceMillis > 0;
  if (counts && !free) await processor.work(spec.serviceMillis);
  response.writeHead(200, {
    "content-length": size,
    "cache-control": "public, max-age=3600",
    "x-origin": spec.name,
    "x-cache": found,
    ...(counts ? { "endpoint-load-metrics": `TEXT cpu_utilization=${utilization.toFixed(4)}` } : {}),
  });
  response.end(content.subarray(0, size));
}

function put(path: string): number {
  const share = /^\/taken\/([\d.]+)$/.exec(path)?.[1];
  if (share !== undefined) processor.taken = Number(share);
  else if (path === "/empty") cache.clear();
  else return 404;
  return 204;
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? "";
  if (request.method === "PUT") {
    response.writeHead(put(path)).end();
    return;
  }
  const size = Number(/^\/\d+-(\d+)$/.exec(path)?.[1]);
  if (!(size <= content.length)) response.writeHead(404).end();
  else void get(path, size, request.headers[warmUpField] !== undefined, response);
}

// The proxy keeps idle connections; an origin that closes them would only add noise.
createServer({ keepAliveTimeout: 0 }, answer).listen(spec.port, "127.0.0.1");
watchProcessor();
