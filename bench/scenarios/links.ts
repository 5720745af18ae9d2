/** Many links at once: what one costs in memory, and whether idle ones slow the busy ones. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Entrant } from "../lineup.js";
import type { Round } from "../measure.js";
import { metricValue, readMetrics } from "../metrics.js";
import { type RunningServer, startServer } from "../processes.js";
import { median, ratio } from "../stats.js";
import { startOrigin, startTarget } from "../targets.js";
import { openTopology, type Topology } from "../topology.js";
import { loadOnce, smallAnswers } from "./pair.js";
import {
  connectionsWithin,
  costOf,
  type IdleCost,
  otherDescriptors,
  residentOf,
  restRounds,
  restSeconds,
  warmUpConnections,
  watchAtRest,
} from "./resident.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";

const wanted = 20_000;
const busy = 32;
/** Measurements of each of the two proxies in a round. */
const pairs = 3;
const openTimeout = 180_000;
const name = "links";

/** Steps of progress: in each round the opening, and the measurements. */
export const linksSteps = (rounds: number): number => restRounds(rounds) * (1 + 2 * pairs);

/** As many descriptors as a process can get, up to what all wanted links need. */
function reachableDescriptors(): number {
  const needed = 2 * wanted + otherDescriptors;
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  if (hard === "unlimited" || Number(hard) >= needed) return needed;
  try {
    // Root may raise the hard limit, except in most containers.
    execFileSync("prlimit", [`--nofile=${needed}:${needed}`, "true"], { stdio: "ignore" });
    return needed;
  } catch {
    return Number(hard);
  }
}

/** What was found in one round. */
interface Measured extends IdleCost {
  /** Resident bytes by second, before and with the links. */
  readonly without: readonly number[];
  readonly held: readonly number[];
  /** Of the proxy that has only the busy links, and of the one that has idle ones too. */
  readonly alone: readonly Round[];
  readonly crowded: readonly Round[];
  /** At the end. */
  readonly active: number;
}

const withDescriptors = (topology: Topology, limit: number): Topology => ({
  ...topology,
  at: (place, command) => topology.at(place, ["prlimit", `--nofile=${limit}:${limit}`, ...command]),
});

async function startEntrant(folder: string, workers: number, limit: number): Promise<Entrant> {
  mkdirSync(folder, { recursive: true });
  const topology = withDescriptors(await openTopology("loopback"), limit);
  const origin = await startOrigin("native", topology, folder);
  const origins = origin.addresses;
  return { topology, origin, target: await startTarget("splice", { topology, origins, workers, folder }) };
}

async function stopEntrant({ topology, origin, target }: Entrant): Promise<void> {
  await target.server?.stop();
  await origin.server.stop();
  await topology.close();
}

function hold(count: number, { topology, target }: Entrant): Promise<RunningServer> {
  const program = fileURLToPath(new URL("../load/hold.ts", import.meta.url));
  const command = [process.execPath, "--import", "tsx", program, `${count}`, ...target.addresses] as const;
  return startServer(topology.at("client", command), (_pid, output) => output.includes("held"), {
    timeout: openTimeout,
  });
}

/** Opens the idle links on the second of two proxies, and measures both in turns. */
async function measure(
  context: ScenarioContext,
  entrants: readonly [Entrant, Entrant],
  count: number,
  label: string,
): Promise<Measured> {
  const { progress, plan } = context;
  const crowd = entrants[1];
  const group = crowd.target.server?.group ?? 0;
  progress.step(`${count} links, ${label}`);
  await (await hold(warmUpConnections, crowd)).stop();
  const without = await watchAtRest(group);
  const holder = await hold(count, crowd);
  const held = [residentOf(group), ...(await watchAtRest(group))];
  const rounds: [Round[], Round[]] = [[], []];
  for (let pair = 0; pair < pairs; pair++) {
    for (const index of pair % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      progress.step(`${busy} busy links ${index === 0 ? "alone" : "among idle ones"}, ${label}`);
      rounds[index].push(
        await loadOnce(plan.seconds, entrants[index], { ...smallAnswers, connections: busy }),
      );
    }
  }
  const active = metricValue(await readMetrics(crowd.target.admin), "longsplice_links_active");
  await holder.stop();
  return { without, held, alone: rounds[0], crowded: rounds[1], active, ...costOf(without, held, count) };
}

/** Why what was measured does not count, or null. */
function failureOf(raw: readonly Measured[], count: number): string | null {
  const lost = raw.find(({ active }) => active < count);
  if (lost !== undefined) return `only ${lost.active} of ${count} links were left at the end`;
  const rounds = raw.flatMap(({ alone, crowded }) => [...alone, ...crowded]);
  return rounds.find(({ failed }) => failed !== null)?.failed ?? null;
}

export async function runLinks(context: ScenarioContext): Promise<ScenarioResult> {
  const { plan, folder } = context;
  const limit = reachableDescriptors();
  const count = Math.min(wanted, connectionsWithin(limit));
  const head = { name, title: `${count} links at once` } as const;
  if (count < 1) return failedScenario(head, `open files are limited to ${limit}`, null);
  const raw: Measured[] = [];
  const rounds = restRounds(plan.rounds);
  for (let round = 0; round < rounds; round++) {
    const start = (kind: string) => startEntrant(join(folder, `${round}-${kind}`), plan.workers, limit);
    const entrants = [await start("alone"), await start("crowded")] as const;
    raw.push(await measure(context, entrants, count, `round ${round + 1} of ${rounds}`));
    for (const entrant of entrants) await stopEntrant(entrant);
  }
  const failed = failureOf(raw, count);
  if (failed !== null) return failedScenario(head, failed, raw);
  return { ...head, failed: null, ...tableOf(raw, count, limit), raw };
}

function tableOf(
  raw: readonly Measured[],
  count: number,
  limit: number,
): Pick<ScenarioResult, "columns" | "rows" | "notes"> {
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  const perSecond = (rounds: readonly Round[]) => rounds.map(({ requestsPerSecond }) => requestsPerSecond);
  const alone = perSecond(raw.flatMap((round) => round.alone));
  const crowded = perSecond(raw.flatMap((round) => round.crowded));
  const kept = ratio(crowded, alone);
  const why = count < wanted ? ` ${wanted} would need ${2 * wanted + otherDescriptors}.` : "";
  return {
    columns: [
      "links",
      "resident without MB",
      "highest with MB",
      "growth bytes/link",
      "highest - lowest bytes/link",
      `requests/s of ${busy} alone`,
      "among idle ones",
      "ratio",
    ],
    rows: [
      [
        String(count),
        megabytes(median(raw.map(({ without }) => without.at(-1) ?? Number.NaN))),
        megabytes(Math.max(...raw.map(({ held }) => Math.max(...held)))),
        median(raw.map(({ growth }) => growth)).toFixed(0),
        Math.max(...raw.map(({ span }) => span)).toFixed(0),
        median(alone).toFixed(0),
        median(crowded).toFixed(0),
        `${kept.ofMedians.toFixed(3)} (${kept.q1.toFixed(3)}-${kept.q3.toFixed(3)})`,
      ],
    ],
    notes: [
      `Client, proxy and origin share the machine, so a link takes four descriptors, two of them of the proxy. A process may have ${limit}.${why}`,
      `Each link had one request answered. Resident memory of the proxy, each second for ${restSeconds} s before and after they were opened, as in the scenario \`idle\`: hold \`highest - lowest\` against a limit. The mapped records of the links are in it; what the kernel needs for the sockets is not.`,
      `The ${busy} busy links (128 B, keep-alive) were measured in turns on two proxies of the same kind, of which one had the idle links; each has a loopback and an origin of its own.`,
    ],
  };
}
