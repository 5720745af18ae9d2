/**
 * Heads are written anew from what was understood: for random messages, right, odd and damaged, in random pieces, the
 * other side gets exactly the bytes that a model computes from the message, or nothing.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { chunked, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { damaged, oddFields, places } from "../support/hostile-arbitraries.js";
import { answerOnce, reachedSince, sendAndClose } from "../support/hostile-exchange.js";
import { readChunkedText } from "../support/hostile-grammar.js";
import { cutAt } from "../support/hostile-pieces.js";
import { judgeRequest } from "../support/hostile-request-model.js";
import { goodRequests } from "../support/hostile-requests.js";
import { judgeResponse } from "../support/hostile-response-model.js";
import { goodResponses } from "../support/hostile-responses.js";
import { toBuffer } from "../support/wire.js";

const DONE = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone";
/** What a client gets for DONE; HTTP/1.0 is told what becomes of the connection. */
const DONE_AT_CLIENT =
  /^HTTP\/1\.1 200 OK\r\ncontent-length: 4\r\n(?:connection: (close|keep-alive)\r\n)?\r\ndone/;
const BARRIER = "GET /barrier HTTP/1.1\r\nhost: test.example\r\n\r\n";
const REFUSED = /^HTTP\/1\.1 (400|405|414|431|505) [\s\S]*\r\nconnection: close\r\n/;
/** Long enough that damage often meets their bodies. */
const LONG = [
  `HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n${"a".repeat(200)}`,
  `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunked(Array.from({ length: 20 }, () => "some"))}`,
];
const BAD_GATEWAY = /HTTP\/1\.1 502 Bad Gateway\r\n/;

/** The head, and the body without its chunks when there are any. */
function unchunk(reached: string, head: string, isChunked: boolean): string {
  if (!reached.startsWith(head)) return reached;
  const rest = reached.slice(head.length);
  if (!isChunked) return reached;
  const read = readChunkedText(rest);
  return read.kind === "whole" ? `${head}${read.body}|${JSON.stringify(read.trailers)}${read.rest}` : reached;
}

forEachEngine("requests written anew", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  /** Sends a text in pieces; fails unless exactly what the model says reached the origin and came back. */
  async function expectAsModelled(text: string, at: readonly number[]): Promise<string[]> {
    const from = origin.connections.length;
    const answer = await sendAndClose(proxy, cutAt(toBuffer(text), at));
    // One worker and one accept queue keep the order: what of the text is still under way arrives before this.
    await sendAndClose(proxy, [toBuffer(BARRIER)]);
    const reached = reachedSince(origin, from);
    expect(reached.pop()).toBe(BARRIER);
    const kinds: string[] = [];
    let [left, unread] = [text, answer];
    for (let index = 0; /[^\r\n]/.test(left); index++) {
      const verdict = judgeRequest(left, origin.address);
      kinds.push(verdict.kind);
      if (verdict.kind === "whole") {
        const body = verdict.chunked ? `${verdict.body}|${JSON.stringify(verdict.trailers)}` : verdict.body;
        expect(unchunk(reached[index] ?? "", verdict.head, verdict.chunked)).toBe(verdict.head + body);
        const done = DONE_AT_CLIENT.exec(unread);
        expect(done, `an answer in ${unread}`).not.toBeNull();
        unread = unread.slice(done![0].length);
        // What follows a request that ends the connection is not read.
        if (done![1] === "close") break;
        left = verdict.rest;
        continue;
      }
      if (verdict.kind === "partial") {
        const begun = reached.splice(index, 1)[0] ?? "";
        expect(verdict.head.startsWith(begun.slice(0, verdict.head.length))).toBe(true);
        expect(unchunk(begun, verdict.head, true)).toBe(begun);
      }
      break;
    }
    expect(reached).toHaveLength(kinds.filter((kind) => kind === "whole").length);
    // Behind the good requests: a refusal, or not a word when the head or the body just stopped.
    if (unread !== "") expect(unread).toMatch(REFUSED);
    return kinds;
  }

  it("sends the model's bytes for random heads in random pieces", async () => {
    answerOnce(origin, DONE);
    const property = fc.asyncProperty(oddFields, places, async (fields, at) => {
      const text = `GET /x HTTP/1.1\r\n${fields.join("\r\n")}\r\nhost: test.example\r\n\r\n`;
      expect(await expectAsModelled(text, at)).toEqual(["whole"]);
    });
    await fc.assert(property, { numRuns: 300 });
  });

  it("sends the model's bytes, or none, for damaged requests", async () => {
    answerOnce(origin, DONE);
    const seen = new Map<string, number>();
    const property = fc.asyncProperty(damaged([...goodRequests.values()]), places, async (text, at) => {
      for (const kind of await expectAsModelled(text, at)) seen.set(kind, (seen.get(kind) ?? 0) + 1);
    });
    await fc.assert(property, { numRuns: 1500 });
    // All three kinds were tried often, or this test would say little.
    for (const kind of ["whole", "partial", "refused"]) expect(seen.get(kind)).toBeGreaterThan(25);
  });
});

forEachEngine("responses written anew", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  async function expectAsModelled(text: string, at: readonly number[]): Promise<string> {
    origin.script(async (wire) => {
      await wire.readHead();
      for (const piece of cutAt(toBuffer(text), at)) await wire.send(piece);
      wire.finish();
    });
    const answer = await sendAndClose(proxy, [request("POST / HTTP/1.1", { body: "" })]);
    const verdict = judgeResponse(text);
    expect(answer.startsWith(verdict.interim)).toBe(true);
    const final = answer.slice(verdict.interim.length);
    if (verdict.kind === "refused") {
      expect(final).toMatch(BAD_GATEWAY);
      expect(final.search(BAD_GATEWAY)).toBe(0);
    } else if (verdict.kind === "partial") {
      if (!BAD_GATEWAY.test(final)) {
        expect(final.startsWith(verdict.head)).toBe(true);
        expect(unchunk(final, verdict.head, true)).toBe(final);
      }
    } else {
      const body = verdict.chunked ? `${verdict.body}|${JSON.stringify(verdict.trailers)}` : verdict.body;
      expect(unchunk(final, verdict.head, verdict.chunked)).toBe(verdict.head + body);
    }
    return verdict.kind;
  }

  it("sends the model's bytes for random heads in random pieces", async () => {
    const property = fc.asyncProperty(oddFields, places, async (fields, at) => {
      const text = `HTTP/1.1 200 OK\r\n${fields.join("\r\n")}\r\ncontent-length: 2\r\n\r\nok`;
      expect(await expectAsModelled(text, at)).toBe("whole");
    });
    await fc.assert(property, { numRuns: 300 });
  });

  it("sends the model's bytes, or an error of its own, for damaged responses", async () => {
    const seen = new Map<string, number>();
    const property = fc.asyncProperty(
      damaged([...goodResponses.values(), ...LONG, ...LONG]),
      places,
      async (text, at) => {
        const kind = await expectAsModelled(text, at);
        seen.set(kind, (seen.get(kind) ?? 0) + 1);
      },
    );
    await fc.assert(property, { numRuns: 1000 });
    for (const kind of ["whole", "partial", "refused"]) expect(seen.get(kind)).toBeGreaterThan(30);
  });
});
