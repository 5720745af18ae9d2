/** What it costs to set up a link and to take it back: client connections on which one request of three is linked. */
import { join } from "node:path";
import { sizeText, type TargetName } from "../cells.js";
import { openLineup } from "../lineup.js";
import { type LoadShape, measureOnce, type Round } from "../measure.js";
import { median } from "../stats.js";
import { failedScenario, type ScenarioContext, type ScenarioResult } from "./scenario.js";

const size = 128;
const connections = 32;
const requestsEach = 3;
const head = {
  name: "link-setup",
  title: `Setting up a link (${sizeText(size)}, ${requestsEach} requests on each connection of a client)`,
} as const;
const targets: readonly TargetName[] = ["direct", "splice", "longsplice", "haproxy"];

export const linkSetupSteps = (rounds: number): number => targets.length * rounds;

/**
 * The first request of a connection is copied, the second is linked, and the third, which says that it is the last one,
 * takes the connection back.
 */
const shape = {
  load: "wrk",
  connections,
  mode: "keep-alive",
  requests: "three",
  expected: "split_acks",
} as const;

export async function runLinkSetup({ plan, folder, progress }: ScenarioContext): Promise<ScenarioResult> {
  const { workers, seconds } = plan;
  const own = join(folder, "lineup");
  const lineup = await openLineup({ topology: "loopback", origin: "native", targets, workers, folder: own });
  const [missing] = [...lineup.absent];
  if (missing !== undefined) throw new Error(`${missing[0]} did not start: ${missing[1]}`);
  const rounds = new Map<TargetName, Round[]>(targets.map((name) => [name, []]));
  for (let round = 0; round < plan.rounds; round++) {
    for (const entrant of lineup.entrants) {
      progress.step(`link set-up, round ${round + 1} of ${plan.rounds}, ${entrant.target.name}`);
      const load: LoadShape = { ...shape, seconds };
      if (round === 0) await measureOnce(entrant, { ...load, seconds: 1 }, size);
      rounds.get(entrant.target.name)?.push(await measureOnce(entrant, load, size));
    }
  }
  await lineup.close();
  const raw = Object.fromEntries(rounds);
  const failed = [...rounds].find(([, all]) => all.some((one) => one.failed !== null));
  if (failed !== undefined) {
    const why = failed[1].find((one) => one.failed !== null)?.failed;
    return failedScenario(head, `${failed[0]}: ${why}`, raw);
  }
  return { ...head, failed: null, ...tableOf(rounds), raw };
}

function tableOf(
  rounds: ReadonlyMap<TargetName, readonly Round[]>,
): Pick<ScenarioResult, "columns" | "rows" | "notes"> {
  const of = (name: TargetName, figure: (round: Round) => number) =>
    median((rounds.get(name) ?? []).map(figure));
  const proxyOf = (name: TargetName) =>
    of(name, ({ cpu, requests }) => ((cpu.proxy * 1e6) / requests) * requestsEach);
  const machineOf = (name: TargetName) => of(name, ({ cpuMicros }) => cpuMicros * requestsEach);
  const row = (name: TargetName): string[] => {
    const isDirect = name === "direct";
    return [
      name,
      of(name, ({ requestsPerSecond }) => requestsPerSecond / requestsEach).toFixed(0),
      isDirect ? "" : proxyOf(name).toFixed(1),
      machineOf(name).toFixed(1),
      isDirect ? "" : (machineOf(name) - machineOf("direct")).toFixed(1),
    ];
  };
  return {
    columns: [
      "what",
      "connections/s",
      "proxy CPU us/connection",
      "machine CPU us/connection",
      "beyond direct's us",
    ],
    rows: targets.map(row),
    notes: [
      "With `splice` the first request of a connection is copied, the second one is linked, and at the third one, which says that it is the last, the link returns. What `splice` needs beyond `longsplice` is making a link and taking it back, less the copying of one answer.",
      "wrk has a thread for each connection, because it does not tell connections apart within a thread. That is slower for all.",
      "The CPU of a proxy is user and system time of its process. On loopback the system time of a sender includes the receiver's TCP, whoever that is, so part of what a proxy causes is counted with others and the reverse; the columns of the whole machine have all of it.",
    ],
  };
}
