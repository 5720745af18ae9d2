import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Namespace } from "./netns.js";
import { within } from "./wait.js";

const PROGRAM = fileURLToPath(new URL("./packet-websocket-program.ts", import.meta.url));

/** Starts an end of a WebSocket, and waits for its first line. */
export async function webSocketLine(space: Namespace, args: readonly string[], ms: number): Promise<string> {
  const child = space.start(process.execPath, ["--import", "tsx", PROGRAM, ...args]);
  const ended = once(child, "close").then(() => ["nothing"]);
  const line = once(createInterface({ input: child.stdout! }), "line");
  return String((await within(Promise.race([line, ended]), ms, `the WebSocket ${args[0]}`))[0]);
}
