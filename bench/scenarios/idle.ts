/** What an idle client connection costs in memory. */
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { TargetName } from "../cells.js";
import { openMany } from "../load/connections.js";
import { median } from "../stats.js";
import { startOrigin, startTarget, type Target } from "../targets.js";
import {
  costOf,
  type IdleCost,
  idleConnectionsWithin,
  residentOf,
  restRounds,
  restSeconds,
  warmUpConnections,
  watchAtRest,
} from "./resident.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";

const wanted = 10_000;
const name = "idle";
const proxies: readonly TargetName[] = ["longsplice", "haproxy", "nginx"];

export interface IdleResult extends IdleCost {
  readonly target: TargetName;
  /** Resident bytes by second, before and with the connections. */
  readonly without: readonly number[];
  readonly held: readonly number[];
  /** Connections that the proxy closed meanwhile; there must be none. */
  readonly closed: number;
}

async function measure(target: Target, connections: number): Promise<IdleResult> {
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
  const connections = Math.min(wanted, idleConnectionsWithin(limit));
  const head = { name, title: `${connections} idle keep-alive connections` } as const;
  if (connections < 1) return failedScenario(head, `open files are limited to ${limit}`, null);
  const { topology, folder, plan } = context;
  const origin = await startOrigin("native", topology, folder);
  const raw: IdleResult[] = [];
  const rounds = restRounds(plan.rounds);
  for (let round = 0; round < rounds; round++) {
    for (const proxy of proxies) {
      context.progress.step(`${connections} idle connections, round ${round + 1} of ${rounds}, ${proxy}`);
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
      const target = await startTarget(proxy, options);
      raw.push(await measure(target, connections));
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
