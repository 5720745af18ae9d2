/**
 * Packets are judged from the third request of a connection on: the second one makes the link. So where requests are linked,
 * clients make two requests before their test begins. Origins answer them, and neither side keeps a record of them.
 */
import { readResponse } from "./message.js";
import type { Wire } from "./wire.js";

export const WARM_UP_TARGET = "/warm-up";
const FIELD = "x-warm-up";
const ROUNDS = 2;
/** An origin of tests answers at once, whatever its script does. Who does not is none of those. */
const PATIENCE_MS = 5_000;

/** Whether a packet is such a request, and nothing else. They come alone, because their client waits for the response. */
export function isWarmUp(packet: Buffer): boolean {
  const text = packet.toString("latin1");
  return text.startsWith("GET ") && text.includes(`\r\n${FIELD}: `) && text.endsWith("\r\n\r\n");
}

export const isWarmUpRequest = (headers: Readonly<Record<string, unknown>>): boolean => FIELD in headers;

export const WARM_UP_ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwarm";

/** False where the connection is not fit for more requests: nobody answered, or not for long. */
export async function warmUp(wire: Wire, target: string, host: string): Promise<boolean> {
  const { patience } = wire;
  wire.patience = PATIENCE_MS;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await wire.send(`GET ${target} HTTP/1.1\r\nhost: ${host}\r\n${FIELD}: ${round}\r\n\r\n`);
      const answer = await readResponse(wire);
      if (answer.status >= 500 || answer.fields.get("connection") === "close") return false;
    }
    return true;
  } catch {
    return false;
  } finally {
    wire.patience = patience;
    wire.forget();
  }
}
