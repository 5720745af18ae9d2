/** Two settings of longsplice measured in turns. */
import type { Entrant } from "../lineup.js";
import { type LoadShape, measureOnce, type Round } from "../measure.js";
import { startOrigin, startTarget, type Target, type TargetOptions } from "../targets.js";
import type { ScenarioContext } from "./scenario.js";

/** What clients ask for, with keep-alive. */
export interface Load extends Pick<LoadShape, "connections" | "requests" | "expected"> {
  /** Bytes of each answer. */
  readonly size: number;
}

export const smallAnswers: Load = { connections: 64, size: 128 };

export interface Pair {
  readonly first: readonly Round[];
  readonly second: readonly Round[];
  /** Of the first measurement that failed, or null. */
  readonly failed: string | null;
}

/** Everything but the topology, the origin and the folder, which both have in common. */
export type Setting = Partial<TargetOptions> & { readonly label: string; readonly workers: number };

/**
 * Measures both settings in each round, the order changing from round to round.
 *
 * @param afterRound called with the target and its measurement while the target is idle
 */
export async function measurePair(
  context: ScenarioContext,
  settings: readonly [Setting, Setting],
  afterRound: (target: Target, setting: Setting, round: Round) => void | Promise<void> = () => {},
  load: Load = smallAnswers,
): Promise<Pair> {
  const { topology, plan, folder } = context;
  const origin = await startOrigin("native", topology, folder);
  const targets: Target[] = [];
  for (const setting of settings) {
    const origins = origin.addresses.slice(0, 1);
    targets.push(await startTarget("longsplice", { topology, origins, folder, ...setting }));
  }
  const rounds: [Round[], Round[]] = [[], []];
  for (let number = 0; number < plan.rounds; number++) {
    for (const index of number % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
      const [target, setting] = [targets[index], settings[index]];
      if (target === undefined) continue;
      context.progress.step(`${setting.label}, round ${number + 1} of ${plan.rounds}`);
      const round = await loadOnce(plan.seconds, { topology, target, origin }, load);
      await afterRound(target, setting, round);
      rounds[index].push(round);
    }
  }
  for (const { server } of targets) await server?.stop();
  await origin.server.stop();
  const failed = rounds.flat().find((round) => round.failed !== null)?.failed ?? null;
  return { first: rounds[0], second: rounds[1], failed };
}

/** A warm-up and a measurement. */
export async function loadOnce(
  seconds: number,
  entrant: Entrant,
  { size, ...load }: Load = smallAnswers,
): Promise<Round> {
  const shape: LoadShape = { ...load, load: "wrk", mode: "keep-alive", seconds };
  const warmUp = await measureOnce(entrant, { ...shape, seconds: 1 }, size);
  return warmUp.failed === null ? measureOnce(entrant, shape, size) : warmUp;
}
