/** Ways to cut a message into pieces, and to try many of them at the same time. */
import { setImmediate } from "node:timers/promises";
import { delay } from "./wait.js";
import { toBuffer, type Wire } from "./wire.js";

/** Long enough that the reader on the other side of loopback sees each of two pieces by itself. */
const PAUSE_MS = 3;

/** A message in one piece, in two pieces at every place, and one byte at a time. */
export function everyCut(message: string | Uint8Array): Buffer[][] {
  const bytes = toBuffer(message);
  const single = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  const inTwo = single.slice(1).map((_, index) => cutAt(bytes, [index + 1]));
  return [[bytes], single, ...inTwo];
}

/** The pieces between those places; places beyond the end and repeated ones do nothing. */
export function cutAt(message: Uint8Array, places: readonly number[]): Buffer[] {
  const bytes = toBuffer(message);
  const inside = [...new Set(places)].filter((at) => at > 0 && at < bytes.length).sort((a, b) => a - b);
  return [...inside, bytes.length].map((end, index) => bytes.subarray(inside[index - 1] ?? 0, end));
}

/** Sends each piece by itself. Ends early when the other side closed. */
export async function sendPieces(wire: Wire, pieces: readonly Uint8Array[]): Promise<void> {
  // Of many pieces a few may meet: each is a segment of its own, and nothing depends on a single one.
  const pause = () => (pieces.length > 10 ? setImmediate() : delay(PAUSE_MS));
  for (const [index, piece] of pieces.entries()) {
    if (wire.end !== undefined) return;
    if (index > 0) await pause();
    await wire.send(piece);
  }
}

/** Does `work` for all items, at most `width` at a time. After a failure no further one begins; those that run end. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = items.values();
  const failures: unknown[] = [];
  const worker = async () => {
    for (const item of waiting) {
      if (failures.length > 0) return;
      await work(item).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  if (failures.length > 0) throw failures[0];
}
