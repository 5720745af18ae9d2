/** Every response, good or bad, in one piece, cut in two at every byte, and one byte at a time. */
import { expect, it } from "vitest";
import { request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { expectErrorAnswer } from "../support/expect.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { withClient } from "../support/hostile-exchange.js";
import { everyCut, inParallel, sendPieces } from "../support/hostile-pieces.js";
import { judgeResponse } from "../support/hostile-response-model.js";
import { badResponses, goodResponses } from "../support/hostile-responses.js";
import { readRequest, readResponse, readResponseHead } from "../support/message.js";
import type { Wire, WireEnd } from "../support/wire.js";

const AT_A_TIME = 100;

/** Good heads that this process writes in another way, and links do not. */
const AS_THEY_ARE_ON_LINKS = new Set([
  "neither a reason nor the space before it",
  "odd spacing, empty and repeated values",
]);

forEachEngine("responses in pieces", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  /**
   * Runs `check` on a client whose request is answered with that message, for every way to cut it. POST, because a method
   * that may be repeated would be sent to the backend again; PUT where the answer is good, because then the proxy may keep
   * the connection in the moment before its FIN comes, and only a PUT is sent again on another one.
   */
  async function forEveryCut(
    bytes: string,
    check: (client: Wire) => Promise<void>,
    method: "POST" | "PUT" = "POST",
  ): Promise<void> {
    const cuts = everyCut(bytes);
    const ends: WireEnd[] = [];
    origin.script(async (wire) => {
      const { target } = await readRequest(wire);
      await sendPieces(wire, cuts[Number(target.slice(1))]!);
      wire.finish();
      ends.push(await wire.ended());
    });
    await inParallel([...cuts.entries()], AT_A_TIME, ([index]) =>
      withClient(proxy, async (client) => {
        await client.send(request(`${method} /${index} HTTP/1.1`, { body: "" }));
        await check(client);
      }),
    );
    await expect.poll(() => ends.length).toBe(cuts.length);
    expect(origin.connections).toHaveLength(cuts.length);
  }

  const passes = (what: string) => engine === "packet-connection" && AS_THEY_ARE_ON_LINKS.has(what);
  const badHeads = [...badResponses].filter(([, { isHeadGood }]) => !isHeadGood);
  it.each(badHeads)("answers 502 instead of %s", async (_, { bytes }) => {
    expect(judgeResponse(bytes).kind).toBe("refused");
    await forEveryCut(bytes, async (client) => {
      await expectErrorAnswer(client, 502, "POST");
    });
  });

  const badBodies = [...badResponses].filter(([, { isHeadGood }]) => isHeadGood);
  it.each(badBodies)("never makes a response with %s look whole", async (_, { bytes }) => {
    expect(judgeResponse(bytes).kind).toBe("partial");
    await forEveryCut(bytes, async (client) => {
      // Either the proxy saw it in time for an answer of its own, or the chunks end before their last one.
      const { status } = await readResponseHead(client);
      await client.readToEnd({ allowReset: true });
      expect([200, 502]).toContain(status);
      if (status === 200) expect(client.received.toString("latin1")).not.toMatch(/\r\n0+\r\n/);
    });
  });

  it.each([...goodResponses].filter(([what]) => !passes(what)))(
    "forwards a response with %s",
    async (_, bytes) => {
      const verdict = judgeResponse(bytes);
      if (verdict.kind !== "whole") throw new Error(`the model takes it for ${verdict.kind}`);
      const expected = verdict.interim + verdict.head;
      const check = async (client: Wire) => {
        const answer = await readResponse(client, "PUT");
        const received = client.received.toString("latin1");
        expect(received.slice(0, expected.length)).toBe(expected);
        expect(answer.body.toString("latin1")).toBe(verdict.body);
        expect(answer.trailers.list).toEqual(verdict.trailers);
        if (!verdict.chunked) expect(received).toBe(expected + verdict.body);
      };
      await forEveryCut(bytes, check, "PUT");
    },
  );
});
