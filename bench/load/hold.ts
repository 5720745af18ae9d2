/**
 * `hold.ts COUNT ADDRESS...`: opens connections, says "held" when each had its requests answered, and keeps them until a
 * signal ends it. A program, because clients must be in the network namespace of what they connect to.
 */
import type { Socket } from "node:net";
import { openMany } from "./connections.js";

const [count, ...addresses] = process.argv.slice(2);
const opened: Socket[] = [];
await openMany(Number(count), addresses, opened);
console.log("held");
