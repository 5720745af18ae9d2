/** What several test files assert in the same words. */
import { expect } from "vitest";
import { type ResponseMessage, readResponse } from "./message.js";
import type { RawOrigin } from "./raw-origin.js";
import { delay } from "./wait.js";
import type { Wire } from "./wire.js";

/** The next response is an error answer of the proxy itself: a short text with its length. */
export async function expectErrorAnswer(
  client: Wire,
  status: number,
  method = "GET",
): Promise<ResponseMessage> {
  const answer = await readResponse(client, method);
  expect(answer.status).toBe(status);
  expect(answer.fields.get("content-type")).toMatch(/^text\/plain\b/);
  expect(answer.fields.get("content-length")).toBeDefined();
  if (method !== "HEAD") expect(answer.body.length).toBeGreaterThan(0);
  return answer;
}

/** The next response is that error, it says that the connection closes, and the connection then closes cleanly. */
export async function expectRefused(client: Wire, status: number, method = "GET"): Promise<void> {
  const answer = await expectErrorAnswer(client, status, method);
  expect(answer.fields.get("connection")).toBe("close");
  expect(await client.readToEnd()).toHaveLength(0);
}

/** The connection ended before the message on it was complete: no reader may take it for a whole one. */
export async function expectCutShort(client: Wire, method = "GET"): Promise<void> {
  await expect(readResponse(client, method)).rejects.toThrow(/connection ended/);
}

/** Nothing of what was sent reached that backend, and nothing comes late either. */
export async function expectNothingReached(origin: RawOrigin): Promise<void> {
  await delay(20);
  expect(origin.received.toString("latin1")).toBe("");
}
