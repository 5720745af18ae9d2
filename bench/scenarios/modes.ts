/** What the ways of a request cost: judged in the kernel, returned to user space, or changed there. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { sizeText, type TargetName } from "../cells.js";
import { openLineup } from "../lineup.js";
import type { Round } from "../measure.js";
import { median, ratio, ratioText } from "../stats.js";
import type { Variant } from "../targets.js";
import type { TopologyName } from "../topology.js";
import { type Load, loadOnce } from "./pair.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";

const connections = 32;
const megabyte = 1_048_576;
const head = {
  name: "modes",
  title: `Requests by the way that they take (${connections} connections, keep-alive)`,
} as const;
const topologies: readonly TopologyName[] = ["loopback", "routed"];
/** `splice` is longsplice with the packet engine. */
const targets = ["direct", "haproxy", "splice"] as const satisfies readonly TargetName[];
type Contestant = (typeof targets)[number];

interface Mode extends Omit<Load, "connections"> {
  readonly label: string;
  readonly variant: Variant;
}

const forwardedFor = { label: "request mode, X-Forwarded-For added", variant: "forwarded-for" } as const;
const responseHeader = {
  label: "exchange mode, response header rewritten",
  variant: "response-header",
} as const;

const modes: readonly Mode[] = [
  {
    label: "plain GETs over 50 paths",
    variant: "plain",
    size: 128,
    requests: "paths",
    expected: "judged",
  },
  {
    label: "browser heads (about 700 B)",
    variant: "plain",
    size: 128,
    requests: "browser",
    expected: "judged",
  },
  {
    label: "every request to another backend",
    variant: "split",
    size: 128,
    requests: "alternate",
    expected: "returned",
  },
  { ...forwardedFor, size: 128, expected: "returned" },
  { ...forwardedFor, size: megabyte, expected: "returned" },
  // The head of a response is rewritten by user space, and with it goes what is short.
  { ...responseHeader, size: 128, expected: null },
  { ...responseHeader, size: megabyte, expected: "spliced" },
];

export const modesSteps = (rounds: number): number =>
  topologies.length * modes.length * targets.length * rounds;

interface Measured {
  readonly topology: TopologyName;
  readonly mode: Mode;
  readonly rounds: Readonly<Record<Contestant, readonly Round[]>>;
}

const nameOf = (topology: TopologyName, { label, size }: Mode): string =>
  `${topology}, ${label}, ${sizeText(size)}`;

async function measure(
  { plan, progress }: ScenarioContext,
  topology: TopologyName,
  mode: Mode,
  folder: string,
): Promise<Measured> {
  mkdirSync(folder, { recursive: true });
  const { workers } = plan;
  const { variant, label, ...load } = mode;
  const lineup = await openLineup({ topology, origin: "native", targets, workers, folder, variant });
  const [missing] = [...lineup.absent];
  if (missing !== undefined) throw new Error(`${missing[0]} did not start: ${missing[1]}`);
  const rounds: Record<Contestant, Round[]> = { direct: [], haproxy: [], splice: [] };
  for (let round = 0; round < plan.rounds; round++) {
    const first = round % targets.length;
    for (const name of [...targets.slice(first), ...targets.slice(0, first)]) {
      progress.step(`${nameOf(topology, mode)}, round ${round + 1} of ${plan.rounds}, ${name}`);
      const entrant = lineup.entrants.find(({ target }) => target.name === name);
      if (entrant !== undefined) {
        rounds[name].push(await loadOnce(plan.seconds, entrant, { ...load, connections }));
      }
    }
  }
  await lineup.close();
  return { topology, mode, rounds };
}

/** Why what was measured does not count, or null. */
function failureOf({ topology, mode, rounds }: Measured): string | null {
  for (const name of targets) {
    const failed = rounds[name].find((round) => round.failed !== null);
    if (failed !== undefined) return `${nameOf(topology, mode)}, ${name}: ${failed.failed}`;
  }
  return null;
}

function rowOf({ topology, mode, rounds }: Measured): string[] {
  const perSecond = (name: Contestant) => rounds[name].map(({ requestsPerSecond }) => requestsPerSecond);
  const micros = (name: Contestant) => rounds[name].map(({ cpuMicros }) => cpuMicros);
  const to = (name: Contestant) => ratioText(ratio(perSecond("splice"), perSecond(name)));
  return [
    nameOf(topology, mode),
    ...targets.map((name) => median(perSecond(name)).toFixed(0)),
    to("direct"),
    to("haproxy"),
    ...targets.map((name) => median(micros(name)).toFixed(1)),
  ];
}

export async function runModes(context: ScenarioContext): Promise<ScenarioResult> {
  const raw: Measured[] = [];
  for (const topology of topologies) {
    for (const [index, mode] of modes.entries()) {
      raw.push(await measure(context, topology, mode, join(context.folder, `${topology}-${index}`)));
    }
  }
  const failures = raw.map(failureOf).filter((why) => why !== null);
  if (failures.length > 0) return failedScenario(head, failures.join("; "), raw);
  return {
    ...head,
    failed: null,
    columns: [
      "requests",
      "requests/s: direct",
      "HAProxy",
      "longsplice",
      "longsplice to direct",
      "to HAProxy",
      "machine CPU us/request: direct",
      "HAProxy",
      "longsplice",
    ],
    rows: raw.map(rowOf),
    notes: [
      "`longsplice` is longsplice with the packet engine; in the first three rows of a topology it forwards by `connection`. The ratios are of requests per second; in parentheses the quartiles of the rounds.",
      "In the first two rows at least nine of ten requests passed by a verdict of the kernel, in the next three as many returned to user space; otherwise there would be no table.",
      "Where every request goes to another backend than the one before, wrk has a thread for each connection, because it does not tell connections apart within a thread. That is slower for all: compare only within the row.",
    ],
    raw,
  };
}
