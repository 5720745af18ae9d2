/** Clients that send random requests over raw connections and check every byte that comes back. */
import { chunked, pattern, sha256 } from "./build.js";
import { type ResponseMessage, readResponse } from "./message.js";
import { CONTENT_BYTES } from "./origin-protocol.js";
import type { Random } from "./random.js";
import { Wire } from "./wire.js";

/** A path prefix, and the names of the origins that may answer below it. */
export type Allowed = Readonly<Record<string, readonly string[]>>;

interface Plan {
  method: string;
  prefix: string;
  number: number;
  offset: number;
  size: number;
  chunkedResponse: boolean;
  body: Buffer | undefined;
  chunkedRequest: boolean;
  last: boolean;
}

const LARGEST = 20_000_000;
const content = pattern(CONTENT_BYTES);

/** Mostly small, sometimes large, rarely huge: about 50 kB on average. */
function randomSize(random: Random): number {
  const kind = random.next();
  if (kind < 0.02) return 0;
  if (kind < 0.7) return random.below(2_000);
  if (kind < 0.9) return random.below(64_000);
  if (kind < 0.998) return random.below(512_000);
  return random.below(LARGEST + 1);
}

function randomSlice(random: Random): { offset: number; size: number } {
  const size = randomSize(random);
  return { size, offset: random.below(CONTENT_BYTES - size + 1) };
}

function randomPlan(random: Random, allowed: Allowed, number: number): Plan {
  const method = random.pick(["GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE"]);
  const takesBody = method === "POST" || method === "PUT";
  const upload = takesBody ? randomSlice(random) : undefined;
  return {
    method,
    prefix: random.pick(Object.keys(allowed)),
    number,
    ...randomSlice(random),
    chunkedResponse: random.chance(0.4),
    body: upload && content.subarray(upload.offset, upload.offset + upload.size),
    chunkedRequest: random.chance(0.4),
    last: false,
  };
}

function encode(plan: Plan, random: Random): Buffer {
  const query = `number=${plan.number}&offset=${plan.offset}&size=${plan.size}${plan.chunkedResponse ? "&chunked=1" : ""}`;
  const lines = [`${plan.method} ${plan.prefix}x?${query} HTTP/1.1`, "host: random.example"];
  if (plan.last) lines.push("connection: close");
  const { body } = plan;
  if (body) lines.push(plan.chunkedRequest ? "transfer-encoding: chunked" : `content-length: ${body.length}`);
  const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`);
  if (!body) return head;
  return Buffer.concat([head, plan.chunkedRequest ? chunked(randomPieces(body, random)) : body]);
}

function randomPieces(body: Buffer, random: Random): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const size = 1 + random.below(Math.max(1, body.length / 4));
    pieces.push(body.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

/** What is wrong with an answer, or undefined. */
function complaint(plan: Plan, answer: ResponseMessage, allowed: Allowed): string | undefined {
  const { fields, status, body } = answer;
  const expected = content.subarray(plan.offset, plan.offset + (plan.method === "HEAD" ? 0 : plan.size));
  if (status !== 200) return `status ${status}`;
  if (fields.get("x-number") !== String(plan.number))
    return `is the answer to request ${fields.get("x-number")}`;
  if (!allowed[plan.prefix]!.includes(fields.get("x-origin")!)) return `came from ${fields.get("x-origin")}`;
  if (fields.get("x-body-sha256") !== sha256(plan.body ?? "")) return "the request body was changed";
  if (!body.equals(expected)) return `the body of ${expected.length} bytes was changed (got ${body.length})`;
  return undefined;
}

/**
 * Sends `count` requests over `connections` connections at a time. Some requests are pipelined, some connections
 * close in between. Returns what was wrong, which should be nothing.
 */
export async function sendRandomTraffic(options: {
  port: number;
  random: Random;
  allowed: Allowed;
  count: number;
  connections: number;
}): Promise<string[]> {
  const { port, random, allowed, count, connections } = options;
  const complaints: string[] = [];
  let next = 0;

  const batch = (): Plan[] => {
    const wanted = random.chance(0.3) ? 2 + random.below(7) : 1;
    const plans: Plan[] = [];
    while (plans.length < wanted && next < count) plans.push(randomPlan(random, allowed, next++));
    const last = plans.at(-1);
    if (last) last.last = random.chance(0.1);
    return plans;
  };

  const client = async (): Promise<void> => {
    let wire: Wire | undefined;
    for (let plans = batch(); plans.length > 0; plans = batch()) {
      wire ??= await Wire.connect(port);
      wire.patience = 60_000;
      // Not awaited: responses have to be read while later requests of the batch are still being written.
      void wire.send(...plans.map((plan) => encode(plan, random)));
      for (const plan of plans) {
        const answer = await readResponse(wire, plan.method);
        const wrong = complaint(plan, answer, allowed);
        if (wrong) complaints.push(`${plan.method} ${plan.prefix} number ${plan.number}: ${wrong}`);
      }
      wire.forget();
      if (plans.at(-1)!.last) {
        if ((await wire.readToEnd()).length > 0) complaints.push("bytes after the last response");
        wire.destroy();
        wire = undefined;
      }
    }
    wire?.destroy();
  };

  await Promise.all(Array.from({ length: connections }, client));
  return complaints;
}
