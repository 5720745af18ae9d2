/** One client connection, one message in pieces: what each side saw of it. */

import { sendPieces } from "./hostile-pieces.js";
import { readRequest } from "./message.js";
import type { RunningProxy } from "./proxy.js";
import type { RawOrigin } from "./raw-origin.js";
import { delay } from "./wait.js";
import { type Wire, WireClosed } from "./wire.js";

/** Answers each request once, closes, and takes no offence at one that stops in the middle. */
export function answerOnce(origin: RawOrigin, response: string): void {
  origin.script(async (wire) => {
    try {
      await readRequest(wire);
    } catch (error) {
      if (error instanceof WireClosed) return;
      throw error;
    }
    await wire.send(response);
    wire.finish();
  });
}

/** Everything that a client gets when it sends these pieces and then closes its sending side. */
export async function sendAndClose(proxy: RunningProxy, pieces: readonly Uint8Array[]): Promise<string> {
  const wire = await proxy.connect();
  try {
    await sendPieces(wire, pieces);
    wire.finish();
    await wire.ended();
    return wire.received.toString("latin1");
  } finally {
    wire.destroy();
  }
}

/** What reached the origin, connection by connection, since there were `from` of them. */
export const reachedSince = (origin: RawOrigin, from: number): string[] =>
  origin.connections.slice(from).map((wire) => wire.received.toString("latin1"));

/** Gives what is still on its way the time to arrive. */
export const settle = (): Promise<void> => delay(30);

/** A client for the time of `use`, whatever comes of it. */
export async function withClient(proxy: RunningProxy, use: (client: Wire) => Promise<void>): Promise<void> {
  const client = await proxy.connect();
  try {
    await use(client);
  } finally {
    client.destroy();
  }
}
