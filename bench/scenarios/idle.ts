/** What an idle client connection costs in memory. */
import { readdirSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TargetName } from "../cells.js";
import { parseProcessTimes } from "../cpu.js";
import { median } from "../stats.js";
import { startOrigin, startTarget, type Target } from "../targets.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";

const connections = 10_000;
const head = { name: "idle", title: `${connections} idle keep-alive connections` } as const;
const proxies: readonly TargetName[] = ["longsplice", "haproxy", "nginx"];
/**
 * This process holds the clients' ends, and each proxy as many; a few more are for other purposes. longsplice keeps an
 * eighth of its own for clients that wake up.
 */
const descriptorsNeeded = Math.ceil(((connections + 500) * 8) / 7);
/** Source addresses: each has ports enough for its share, whatever else uses ports. */
const sources = Array.from({ length: 10 }, (_, index) => `127.0.1.${index + 1}`);
const openedAtOnce = 50;
const answerTimeout = 10_000;
/** Requests on connections that end again, so that what a proxy sets up only once is there before. */
const warmUpConnections = 500;
/** Before the first connection and after the last, in seconds: long enough for Node to have collected its garbage. */
const restSeconds = 20;
const mostRounds = 3;

/** How many rounds of the scenario there are in a plan of so many. */
export const idleRounds = (rounds: number): number => Math.min(rounds, mostRounds);

/** Resident memory of a process group, in bytes. */
export function parseResident(status: string): number {
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** Resident bytes of all processes of a group. */
function residentOf(group: number): number {
  let resident = 0;
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (parseProcessTimes(readFileSync(`/proc/${entry}/stat`, "utf8")).group !== group) continue;
      resident += parseResident(readFileSync(`/proc/${entry}/status`, "utf8"));
    } catch {
      // It ended between the listing and the reading.
    }
  }
  return resident;
}

/** Resident bytes, once a second while nothing happens. */
async function watchAtRest(group: number): Promise<number[]> {
  const samples: number[] = [];
  for (let second = 0; second < restSeconds; second++) {
    await sleep(1000);
    samples.push(residentOf(group));
  }
  return samples;
}

/** What the samples say about a connection, in bytes. */
export interface IdleCost {
  /** From the last sample without the connections to the highest with them. */
  readonly growth: number;
  /**
   * From the lowest sample of all to the highest with them. Node gives megabytes of its own heap back at moments of
   * its own choice, also while the connections are open, which makes `growth` too small; here it counts against them.
   */
  readonly span: number;
}

/** @param without and held: resident bytes, in the order of time */
export function costOf(without: readonly number[], held: readonly number[], count: number): IdleCost {
  const highest = Math.max(...held);
  return {
    growth: (highest - (without.at(-1) ?? Number.NaN)) / count,
    span: (highest - Math.min(...without, ...held)) / count,
  };
}

/** Opens a connection, sends a request and resolves when the answer (without a body) is there. */
function openOne(address: string, source: string): Promise<Socket> {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    const socket = connect({ host: host ?? "", port: Number(port), localAddress: source });
    let answer = "";
    const fail = (what: string) => {
      socket.destroy();
      reject(new Error(`a connection from ${source} to ${address}: ${what}`));
    };
    socket.setTimeout(answerTimeout, () => fail("no answer in time"));
    socket.once("error", (error) => fail(error.message));
    socket.once("close", () => fail("closed"));
    socket.write(`GET /0 HTTP/1.1\r\nHost: ${address}\r\n\r\n`);
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
      if (!answer.includes("\r\n\r\n")) return;
      if (!answer.startsWith("HTTP/1.1 200 ")) return fail(answer.slice(0, 60));
      socket.setTimeout(0);
      socket.removeAllListeners();
      socket.on("error", () => {}); // it is destroyed then, and that is what is counted
      socket.resume(); // an end would not be noticed without reading
      resolve(socket);
    });
  });
}

/** Opens some connections at a time, so that no queue overflows. They are put into `opened`. */
async function openMany(count: number, addresses: readonly string[], opened: Socket[]): Promise<void> {
  while (opened.length < count) {
    const batch = Math.min(openedAtOnce, count - opened.length);
    const begun = Array.from({ length: batch }, (_, index) => {
      const number = opened.length + index;
      const address = addresses[number % addresses.length] ?? "";
      return openOne(address, sources[number % sources.length] ?? "");
    });
    opened.push(...(await Promise.all(begun)));
  }
}

export interface IdleResult extends IdleCost {
  readonly target: TargetName;
  /** Resident bytes by second, before and with the connections. */
  readonly without: readonly number[];
  readonly held: readonly number[];
  /** Connections that the proxy closed meanwhile; there must be none. */
  readonly closed: number;
}

async function measure(target: Target): Promise<IdleResult> {
  const group = target.server?.group ?? 0;
  const opened: Socket[] = [];
  await openMany(warmUpConnections, target.addresses, opened);
  for (const socket of opened.splice(0)) socket.destroy();
  const without = await watchAtRest(group);
  try {
    await openMany(connections, target.addresses, opened);
    const held = [residentOf(group), ...(await watchAtRest(group))];
    const closed = opened.filter((socket) => socket.destroyed || socket.readableEnded).length;
    return { target: target.name, without, held, closed, ...costOf(without, held, connections) };
  } finally {
    for (const socket of opened) socket.destroy();
  }
}

function descriptorLimit(): number {
  const soft = /^Max open files\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
}

export async function runIdle(context: ScenarioContext): Promise<ScenarioResult> {
  const limit = descriptorLimit();
  if (limit < descriptorsNeeded) {
    return failedScenario(
      head,
      `open files are limited to ${limit}; ulimit -n ${descriptorsNeeded} helps`,
      null,
    );
  }
  const { topology, folder, plan } = context;
  const origin = await startOrigin("native", topology, folder);
  const raw: IdleResult[] = [];
  const rounds = idleRounds(plan.rounds);
  for (let round = 0; round < rounds; round++) {
    for (const name of proxies) {
      context.progress.step(`${connections} idle connections, round ${round + 1} of ${rounds}, ${name}`);
      const own = join(folder, `${round}`);
      // A fresh process each time: memory that was used once is seldom given back.
      const origins = origin.addresses.slice(0, 1);
      const options = {
        topology,
        origins,
        workers: plan.workers,
        folder: own,
        connections: connections + 1000,
      };
      const target = await startTarget(name, options);
      raw.push(await measure(target));
      await target.server?.stop();
    }
  }
  await origin.server.stop();
  const lost = raw.find(({ closed }) => closed > 0);
  if (lost !== undefined)
    return failedScenario(head, `${lost.target} closed ${lost.closed} connections`, raw);
  return { ...head, failed: null, ...tableOf(raw), raw };
}

function tableOf(raw: readonly IdleResult[]): Pick<ScenarioResult, "columns" | "rows" | "notes"> {
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  return {
    columns: [
      "target",
      "resident without MB",
      "highest with MB",
      "growth bytes/connection",
      "highest - lowest bytes/connection",
    ],
    rows: proxies.map((name) => {
      const own = raw.filter(({ target }) => target === name);
      return [
        name,
        megabytes(median(own.map(({ without }) => without.at(-1) ?? Number.NaN))),
        megabytes(Math.max(...own.map(({ held }) => Math.max(...held)))),
        median(own.map(({ growth }) => growth)).toFixed(0),
        Math.max(...own.map(({ span }) => span)).toFixed(0),
      ];
    }),
    notes: [
      `Each connection had one request answered. Resident memory of all processes of a target, each second for ${restSeconds} s before and after they were opened, following ${warmUpConnections} connections that came and went. What the kernel needs for the sockets is not in it.`,
      "Growth (median of the rounds) is too small where a target has free memory to use again or gives some back meanwhile, as Node does by several megabytes. The last column, from the lowest sample to the highest in the worst round, counts what is given back against the target; it is the one to hold against a limit. Free memory that was resident before and is used again is in neither.",
    ],
  };
}
