/** Many links at once: what one costs in memory, and whether idle ones slow the busy ones more than without a proxy. */
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
/** Measurements of each entrant in a round. */
const pairs = 5;
/** What idle connections cost without any proxy is the machine's, the load generator's and the origin's part. */
const kinds = ["direct", "splice"] as const;
type Kind = (typeof kinds)[number];
const openTimeout = 180_000;
const name = "links";

/** Steps of progress: in each round the opening, and the measurements. */
export const linksSteps = (rounds: number): number => restRounds(rounds) * kinds.length * (1 + 2 * pairs);

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

/** Two of one kind: the second has idle connections besides the busy ones. */
type Couple = readonly [alone: Entrant, crowded: Entrant];
/** Their measurements. */
type Measurements = readonly [alone: Round[], crowded: Round[]];

/** What was found in one round. */
interface Measured extends IdleCost {
  /** Resident bytes of the proxy by second, before and with the links. */
  readonly without: readonly number[];
  readonly held: readonly number[];
  readonly busy: Readonly<Record<Kind, Measurements>>;
  /** Links at the end. */
  readonly active: number;
}

const withDescriptors = (topology: Topology, limit: number): Topology => ({
  ...topology,
  at: (place, command) => topology.at(place, ["prlimit", `--nofile=${limit}:${limit}`, ...command]),
});

async function startEntrant(kind: Kind, folder: string, workers: number, limit: number): Promise<Entrant> {
  mkdirSync(folder, { recursive: true });
  const topology = withDescriptors(await openTopology("loopback"), limit);
  const origin = await startOrigin("native", topology, folder);
  const origins = origin.addresses;
  return { topology, origin, target: await startTarget(kind, { topology, origins, workers, folder }) };
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

/** Measures all of them in turns. */
async function load(
  { progress, plan }: ScenarioContext,
  couples: Readonly<Record<Kind, Couple>>,
  label: string,
): Promise<Measured["busy"]> {
  const found: Record<Kind, Measurements> = { direct: [[], []], splice: [[], []] };
  for (let pair = 0; pair < pairs; pair++) {
    for (const kind of kinds) {
      for (const index of pair % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
        progress.step(`${kind}, ${busy} busy ${index === 0 ? "alone" : "among idle ones"}, ${label}`);
        found[kind][index].push(
          await loadOnce(plan.seconds, couples[kind][index], { ...smallAnswers, connections: busy }),
        );
      }
    }
  }
  return found;
}

/** Opens the idle connections of both kinds, and measures. */
async function measure(
  context: ScenarioContext,
  couples: Readonly<Record<Kind, Couple>>,
  count: number,
  label: string,
): Promise<Measured> {
  const { progress } = context;
  const [, crowd] = couples.splice;
  const group = crowd.target.server?.group ?? 0;
  progress.step(`${count} links, ${label}`);
  await (await hold(warmUpConnections, crowd)).stop();
  const without = await watchAtRest(group);
  const links = await hold(count, crowd);
  const held = [residentOf(group), ...(await watchAtRest(group))];
  progress.step(`${count} connections without a proxy, ${label}`);
  const connections = await hold(count, couples.direct[1]);
  const found = await load(context, couples, label);
  const active = metricValue(await readMetrics(crowd.target.admin), "longsplice_links_active");
  for (const holder of [links, connections]) await holder.stop();
  return { without, held, busy: found, active, ...costOf(without, held, count) };
}

/** CPU of those who take part, in microseconds by request. */
const ownMicros = ({ cpu, cpuSeconds, requests }: Round): number =>
  ((cpu.proxy + cpu.origin + (cpuSeconds ?? Number.NaN)) / requests) * 1e6;

/** Why what was measured does not count, or null. */
function failureOf(raw: readonly Measured[], count: number): string | null {
  const lost = raw.find(({ active }) => active < count);
  if (lost !== undefined) return `only ${lost.active} of ${count} links were left at the end`;
  const rounds = raw.flatMap(({ busy }) => Object.values(busy).flat(2));
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
    const start = (kind: Kind, which: string) =>
      startEntrant(kind, join(folder, `${round}-${kind}-${which}`), plan.workers, limit);
    const both = async (kind: Kind): Promise<Couple> => [
      await start(kind, "alone"),
      await start(kind, "crowded"),
    ];
    const couples = { direct: await both("direct"), splice: await both("splice") };
    raw.push(await measure(context, couples, count, `round ${round + 1} of ${rounds}`));
    for (const entrant of Object.values(couples).flat()) await stopEntrant(entrant);
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
  const rounds = (kind: Kind, index: 0 | 1) => raw.flatMap(({ busy }) => busy[kind][index]);
  const why = count < wanted ? ` ${wanted} would need ${2 * wanted + otherDescriptors}.` : "";
  const memory = [
    megabytes(median(raw.map(({ without }) => without.at(-1) ?? Number.NaN))),
    megabytes(Math.max(...raw.map(({ held }) => Math.max(...held)))),
    median(raw.map(({ growth }) => growth)).toFixed(0),
    Math.max(...raw.map(({ span }) => span)).toFixed(0),
  ];
  const row = (kind: Kind): string[] => {
    const [alone, crowded] = [rounds(kind, 0), rounds(kind, 1)];
    const kept = ratio(perSecond(crowded), perSecond(alone));
    return [
      kind,
      String(count),
      ...(kind === "splice" ? memory : memory.map(() => "")),
      median(perSecond(alone)).toFixed(0),
      median(perSecond(crowded)).toFixed(0),
      `${kept.ofMedians.toFixed(3)} (${kept.q1.toFixed(3)}-${kept.q3.toFixed(3)})`,
      median(alone.map(ownMicros)).toFixed(2),
      median(crowded.map(ownMicros)).toFixed(2),
    ];
  };
  return {
    columns: [
      "what",
      "idle",
      "resident without MB",
      "highest with MB",
      "growth bytes/link",
      "highest - lowest bytes/link",
      `requests/s of ${busy} alone`,
      "among idle ones",
      "ratio",
      "CPU us/request alone",
      "among idle ones",
    ],
    rows: kinds.map(row),
    notes: [
      `Client, proxy and origin share the machine, so a link takes four descriptors, two of them of the proxy. A process may have ${limit}.${why}`,
      `Each connection had two requests answered, of which the second one made the link. Resident memory of the proxy, each second for ${restSeconds} s before and after they were opened, as in the scenario \`idle\`: hold \`highest - lowest\` against a limit. The two records of a link (384 bytes) are in \`resident without\`, because their mapping is resident from the start; what the kernel needs for the sockets is in neither.`,
      `The ${busy} busy connections (128 B, keep-alive) were measured in turns on two entrants of each kind, of which one had the idle connections; each has a loopback and an origin of its own. \`direct\` tells what idle connections cost the load generator's and the origin's side, with no proxy.`,
      "`CPU` is that of load generator, proxy and origin, without what else runs on the machine: it tells more than requests per second where the machine is shared.",
    ],
  };
}
