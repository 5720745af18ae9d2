import { connect } from "node:net";
import type { Advice } from "./backend.js";

/** What a backend's agent has ordered; `NO_ORDERS` until it has ordered anything. */
export interface BackendOrders {
  /** The part of its configured weight that it wants, 0 to 1: 0.75 for `75%`. */
  readonly weight: number;
  /** It wants no new requests: `drain` or `maint`, until `ready`. */
  readonly drained: boolean;
  /** It says that it does not work, and perhaps why: `down`, `failed` or `stopped`, until `up`. */
  readonly down: string | null;
  /** Requests at a time that it wants at most; 0 if it does not say. */
  readonly maxConnections: number;
}

/** All as configured. */
export const NO_ORDERS: BackendOrders = { weight: 1, drained: false, down: null, maxConnections: 0 };

/** So many bytes without a line are an agent that does not speak the protocol. */
const LINE_LIMIT = 1024;
/** A smaller change of the weight waits for a larger one: each makes the links of the process return. */
const LEAST_CHANGE = 0.05;

/**
 * Orders after one more line of HAProxy's agent-check protocol: words between blanks and commas, in any case, of which the line may
 * have any: `75%`, `maxconn:30`, `up`, `down`, `failed`, `stopped`, `drain`, `maint`, `ready`, and a description behind `#`. What a line
 * does not say stays as it was. Undefined if it has no word that we know.
 */
export function parseAgentCheck(line: string, before: BackendOrders): BackendOrders | undefined {
  const [words = "", ...text] = line.split("#");
  const description = text.join("#").trim();
  let orders: BackendOrders | undefined;
  for (const word of words.toLowerCase().split(/[\s,]+/)) {
    const change = orderOf(word, description);
    if (change !== undefined) orders = { ...(orders ?? before), ...change };
  }
  return orders;
}

function orderOf(word: string, description: string): Partial<BackendOrders> | undefined {
  switch (word) {
    case "up":
      return { down: null };
    case "down":
    case "fail":
    case "failed":
    case "stopped":
      return { down: description === "" ? word : `${word}: ${description}` };
    case "drain":
    case "maint":
      return { drained: true };
    case "ready":
      return { drained: false };
  }
  const [, percent] = /^(\d+)%$/.exec(word) ?? [];
  if (percent !== undefined) return { weight: Math.min(Number(percent), 100) / 100 };
  const [, limit] = /^maxconn:(\d{1,9})$/.exec(word) ?? [];
  return limit === undefined ? undefined : { maxConnections: Number(limit) };
}

/** The same orders with the weight of those before, if it has hardly changed. Nothing and all are always taken as they are. */
export function steady(orders: BackendOrders, { weight }: BackendOrders): BackendOrders {
  const little = Math.abs(orders.weight - weight) < LEAST_CHANGE;
  return little && orders.weight > 0 && orders.weight < 1 ? { ...orders, weight } : orders;
}

/**
 * What the orders mean for the backend. A limit counts only where the pool has one: routes of other pools may be
 * carried past user space, where nobody counts.
 */
export function adviceOf(orders: BackendOrders, limited: boolean): Advice {
  const { weight, drained, down, maxConnections } = orders;
  return {
    weight,
    state: drained ? "drain" : down === null ? "up" : "down",
    ...(limited ? { maxConnections } : {}),
    reason: `agent: ${drained ? "drain" : (down ?? "up")}`,
  };
}

/**
 * Asks an agent: connects, and reads until the end of a line or of the connection.
 * @throws Error if it cannot be reached, sends no line or too long a one, or `signal` aborts
 */
export function askAgentCheck(host: string, port: number, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    // The connection is over with the line, and aborted by the signal.
    const socket = connect({ host, port, signal });
    let received = "";
    const end = () => {
      const [line = ""] = received.trimStart().split(/[\r\n]/, 1);
      if (line === "") reject(new Error("the agent sent nothing"));
      else resolve(line);
      socket.destroy();
    };
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      received += text;
      if (/\S[^\r\n]*[\r\n]/.test(received.slice(0, LINE_LIMIT))) end();
      else if (received.length > LINE_LIMIT) {
        socket.destroy(new Error(`the agent sent no line of at most ${LINE_LIMIT} bytes`));
      }
    });
    socket.on("end", end);
    socket.on("error", reject);
  });
}
