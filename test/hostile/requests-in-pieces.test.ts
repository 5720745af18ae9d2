/** Every request, good or bad, in one piece, cut in two at every byte, and one byte at a time. */
import { expect, it } from "vitest";
import { forEachEngine } from "../support/engines.js";
import { expectNothingReached, expectRefused } from "../support/expect.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { answerOnce, reachedSince, settle, withClient } from "../support/hostile-exchange.js";
import { everyCut, inParallel, sendPieces } from "../support/hostile-pieces.js";
import { judgeRequest } from "../support/hostile-request-model.js";
import { badRequests, goodRequests } from "../support/hostile-requests.js";
import { readRequest, readResponse } from "../support/message.js";

const AT_A_TIME = 100;

forEachEngine("requests in pieces", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  const badHeads = [...badRequests].filter(([, { goodHead }]) => goodHead === undefined);
  it.each(badHeads)("refuses %s, and nothing of it reaches a backend", async (_, { bytes, status }) => {
    expect(judgeRequest(bytes).kind).toBe("refused");
    await inParallel(everyCut(bytes), AT_A_TIME, (pieces) =>
      withClient(proxy, async (client) => {
        await sendPieces(client, pieces);
        await expectRefused(client, status, bytes.slice(0, bytes.indexOf(" ")));
      }),
    );
    await expectNothingReached(origin);
    expect(origin.connections).toHaveLength(0);
  });

  const badBodies = [...badRequests].filter(([, { goodHead }]) => goodHead !== undefined);
  it.each(badBodies)("refuses %s, and no whole request reaches a backend", async (_, bad) => {
    const { bytes, status, goodHead } = bad as typeof bad & { goodHead: number };
    const verdict = judgeRequest(bytes);
    if (verdict.kind !== "partial") throw new Error(`the model takes it for ${verdict.kind}`);
    await inParallel(everyCut(bytes), AT_A_TIME, (pieces) =>
      withClient(proxy, async (client) => {
        await sendPieces(client, pieces);
        await expectRefused(client, status, "POST");
      }),
    );
    await settle();
    // A head that arrived together with the bad byte is held back unless a good chunk came in between.
    const begun = reachedSince(origin, 0).filter((reached) => reached !== "");
    if (bytes.slice(goodHead).search(/^[0-9a-f]+\r\nhel/) < 0) {
      expect(begun.length).toBeLessThanOrEqual(bytes.length - goodHead + 1);
    }
    for (const reached of begun) {
      expect(verdict.head.startsWith(reached.slice(0, verdict.head.length))).toBe(true);
      expect(reached.slice(verdict.head.length)).toMatch(/^([1-5]\r\n[helo]{1,5}\r\n)*$/);
    }
  });

  it.each([...goodRequests])("forwards %s", async (_, bytes) => {
    const verdict = judgeRequest(bytes);
    if (verdict.kind !== "whole") throw new Error(`the model takes it for ${verdict.kind}`);
    const cuts = everyCut(bytes);
    const bodies: string[] = [];
    const trailers: unknown[] = [];
    origin.script(async (wire) => {
      const { body, trailers: fields } = await readRequest(wire);
      bodies.push(body.toString("latin1"));
      trailers.push(fields.list);
      await wire.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone");
      wire.finish();
    });
    await inParallel(cuts, AT_A_TIME, (pieces) =>
      withClient(proxy, async (client) => {
        await sendPieces(client, pieces);
        expect((await readResponse(client)).body.toString()).toBe("done");
      }),
    );
    const heads = reachedSince(origin, 0).map((reached) => reached.slice(0, verdict.head.length));
    expect(heads).toEqual(cuts.map(() => verdict.head));
    expect(bodies).toEqual(cuts.map(() => verdict.body));
    expect(trailers).toEqual(cuts.map(() => verdict.trailers));
    if (verdict.chunked) return;
    for (const reached of reachedSince(origin, 0)) expect(reached).toBe(verdict.head + verdict.body);
  });

  it("answers the good request before a bad one, wherever the two are cut", async () => {
    const good = "GET /good HTTP/1.1\r\nhost: test.example\r\n\r\n";
    const cuts = everyCut(`${good}GET /bad HTTP/1.1\r\nhost : test.example\r\n\r\n`);
    answerOnce(origin, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone");
    await inParallel(cuts, AT_A_TIME, (pieces) =>
      withClient(proxy, async (client) => {
        await sendPieces(client, pieces);
        expect((await readResponse(client)).body.toString()).toBe("done");
        await expectRefused(client, 400);
      }),
    );
    await settle();
    expect(reachedSince(origin, 0)).toEqual(cuts.map(() => good));
  });
});
