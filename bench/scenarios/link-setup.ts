/** What setting a link up costs: two connections for each request, so that hardly anything else is done. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sizeText, type TargetName } from "../cells.js";
import { openLineup } from "../lineup.js";
import { type LoadShape, measureOnce, type Round } from "../measure.js";
import { runToEnd } from "../processes.js";
import { median } from "../stats.js";
import type { Topology } from "../topology.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";

const size = 128;
const connections = 32;
const head = {
  name: "link-setup",
  title: `Setting up a link (${sizeText(size)}, a connection of client and origin for each request)`,
} as const;
const targets: readonly TargetName[] = ["direct", "splice", "longsplice", "haproxy"];
const baseProgram = fileURLToPath(new URL("../../build/bench/accept-connect", import.meta.url));

export const linkSetupSteps = (rounds: number): number => (targets.length + 1) * rounds;

/** What `accept-connect` reports. */
interface Base {
  readonly connections: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** CPU time of the process that accepts and connects, in microseconds for each connection. */
const baseMicros = ({ cpuSeconds, connections }: Base): number => (cpuSeconds / connections) * 1e6;
const proxyMicros = ({ cpu, requests }: Round): number => (cpu.proxy / requests) * 1e6;

/** The least that a proxy must do, with the same number of clients. */
async function measureBase(topology: Topology, origin: string, seconds: number): Promise<Base> {
  const command = [baseProgram, origin, `${connections}`, `${seconds}`] as const;
  return JSON.parse(await runToEnd(topology.at("proxy", command), seconds + 30)) as Base;
}

/**
 * All make a connection to the origin for each client: the origin closes it. What copies must be told by the client to
 * close that side as well; a link learns it from the origin, and is made without any hint that it will be short.
 */
function shapeFor(name: TargetName, seconds: number): LoadShape {
  const mode = name === "splice" ? "keep-alive" : "close";
  return { load: "wrk", connections, mode, seconds, originCloses: true };
}

export async function runLinkSetup({ plan, folder, progress }: ScenarioContext): Promise<ScenarioResult> {
  const { workers, seconds } = plan;
  const own = join(folder, "lineup");
  const lineup = await openLineup({ topology: "loopback", origin: "native", targets, workers, folder: own });
  const [missing] = [...lineup.absent];
  if (missing !== undefined) throw new Error(`${missing[0]} did not start: ${missing[1]}`);
  const bases: Base[] = [];
  const rounds = new Map<TargetName, Round[]>(targets.map((name) => [name, []]));
  for (let round = 0; round < plan.rounds; round++) {
    progress.step(`link set-up, round ${round + 1} of ${plan.rounds}, accept and connect`);
    const [first] = lineup.entrants;
    if (first !== undefined) {
      bases.push(await measureBase(first.topology, first.origin.addresses[0] ?? "", seconds));
    }
    for (const entrant of lineup.entrants) {
      progress.step(`link set-up, round ${round + 1} of ${plan.rounds}, ${entrant.target.name}`);
      const shape = shapeFor(entrant.target.name, seconds);
      if (round === 0) await measureOnce(entrant, { ...shape, seconds: 1 }, size);
      rounds.get(entrant.target.name)?.push(await measureOnce(entrant, shape, size));
    }
  }
  await lineup.close();
  const raw = { bases, rounds: Object.fromEntries(rounds) };
  const failed = [...rounds].find(([, all]) => all.some((one) => one.failed !== null));
  if (failed !== undefined) {
    const why = failed[1].find((one) => one.failed !== null)?.failed;
    return failedScenario(head, `${failed[0]}: ${why}`, raw);
  }
  return { ...head, failed: null, ...tableOf(bases, rounds), raw };
}

function tableOf(
  bases: readonly Base[],
  rounds: ReadonlyMap<TargetName, readonly Round[]>,
): Pick<ScenarioResult, "columns" | "rows" | "notes"> {
  const base = median(bases.map(baseMicros));
  const machineOf = (name: TargetName) => median((rounds.get(name) ?? []).map(({ cpuMicros }) => cpuMicros));
  const row = (name: TargetName): string[] => {
    const own = rounds.get(name) ?? [];
    const proxy = median(own.map(proxyMicros));
    const isDirect = name === "direct";
    return [
      name,
      median(own.map(({ requestsPerSecond }) => requestsPerSecond)).toFixed(0),
      isDirect ? "" : proxy.toFixed(1),
      isDirect ? "" : (proxy - base).toFixed(1),
      machineOf(name).toFixed(1),
      isDirect ? "" : (machineOf(name) - machineOf("direct")).toFixed(1),
    ];
  };
  const basePerSecond = median(bases.map((one) => one.connections / one.seconds));
  return {
    columns: [
      "what",
      "connections/s",
      "proxy CPU us/connection",
      "beyond accept + connect us",
      "machine CPU us/connection",
      "beyond direct's us",
    ],
    rows: [["accept + connect", basePerSecond.toFixed(0), base.toFixed(1), "", "", ""], ...targets.map(row)],
    notes: [
      "`accept + connect` is a program that accepts each client, connects to the origin, and drops both: no request, no answer. Everything beyond it is the price of a proxied connection: reading and routing the request, sending it, making and ending the link (or copying the answer), closing.",
      "The origin closes after each answer, so every proxy makes two connections for each request. What `splice` needs beyond `longsplice` is making and ending a link, less the copying of one answer.",
      "The CPU of a proxy is user and system time of its process. On loopback the system time of a sender includes the receiver's TCP, whoever that is, so part of what a proxy causes is counted with others and the reverse; the columns of the whole machine have all of it.",
    ],
  };
}
